# SPDX-License-Identifier: Apache-2.0
"""The tables of a study, from what its journal holds: nothing here asks a network.

The unit of every interval is the image, or the patient where images have one: RoIs of an image and images of a patient
are averaged first. A comparison takes the units for which all of its methods have a value.
"""
