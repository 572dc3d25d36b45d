# SPDX-License-Identifier: Apache-2.0
"""Public data sets by name, in the layouts in which they are published.

:func:`load_dataset` checks a folder and lists its items in the order of their ids; it reads no image. An item is a
dictionary, ready for MONAI's ``LoadImaged`` or for :func:`monai_causal.data.readers.read_pair`:

=============  ==================================================================================================
``image``      path (a list of paths for a list of modalities); of a phantom the array itself
``label``      path, array or polygons; absent where there is none and ``unlabelled="keep"`` was asked for
``label_type`` ``"binary"``, ``"indices"`` or ``"auto"``: how a picture's values become classes
``id``         what the data set calls the image, unique within it
``index``      its place in the list: what errors call it
``dataset``    the name by which it was loaded
``patient``    what must not be in two parts of a split, where the data set tells (HAM10000: the lesion; CVC-ClinicDB
               and ETIS-Larib: the sequence)
``sequence``   the video whose frame it is, where the data set tells
``site``       what a study across hospitals holds out: a centre of PolypGen or PolypDB, or the data set itself
               (Kvasir-SEG, CVC-ClinicDB, ETIS-Larib, BM-BronchoLC, Laryngoscope8)
``centre``     the hospital, where the data set tells (PolypGen, the same as ``site``)
``diagnosis``  where the data set tells (HAM10000, FIVES, BM-BronchoLC, Laryngoscope8)
``technique``  how the mucosa is lit, where the data set tells (PolypDB: WLI, NBI, BLI, FICE or LCI)
``lesions``    the names of the lesions seen, where the data set tells (BM-BronchoLC)
=============  ==================================================================================================

VOC 2012 and SBD are photographs, so they have no patients. The ``.mat`` labels of SBD and the polygons of BM-BronchoLC
are for ``read_pair`` only. An entry of a decathlon list keeps the keys it has, ``site``, ``sequence`` and ``patient``
among them.

Frames of one video show one lesion many times: divide frames with ``split_by_group(items, ..., key="sequence")``
wherever there are sequences. PolypGen publishes none; its ``sequence`` is read from those names that begin with a
number common to several frames (``104OLCV1_100H0002``, ``10_endocv2021_positive_950``). That is a rule about names.
"""

from __future__ import annotations

from monai_causal.data.datasets.groups import sites_of, split_by_group
from monai_causal.data.datasets.layout import DatasetError, Item, Layout
from monai_causal.data.datasets.registry import DATASETS, load_dataset
from monai_causal.data.readers import read_image, read_label, read_pair, target_class

__all__ = [
    "DATASETS",
    "DatasetError",
    "Item",
    "Layout",
    "load_dataset",
    "read_image",
    "read_label",
    "read_pair",
    "sites_of",
    "split_by_group",
    "target_class",
]
