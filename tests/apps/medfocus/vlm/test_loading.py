# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

import transformers

from monai_causal.apps.medfocus.vlm import load_vlm
from monai_causal.apps.medfocus.vlm.families import FAMILIES
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel
from tests.apps.medfocus.vlm import tiny

COMMIT = "0123456789abcdef0123456789abcdef01234567"
QUESTION = "Is there a tube?"

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder("llava", tmp_path_factory.mktemp("models") / "tiny-llava")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def log_probs(model: VisionLanguageModel) -> torch.Tensor:
    image = tiny.picture()
    return model.log_probs(image[None], model.prompt(QUESTION, (tiny.HEIGHT, tiny.WIDTH)), model.answer("Yes, it is."))


@pytest.mark.parametrize("name", sorted(tiny.FAMILIES))
def test_a_folder_gives_the_family_and_its_numbers(name: str, tmp_path: Path) -> None:
    model = load_vlm(tiny.folder(name, tmp_path / "a model"), dtype=torch.float32, batch_size=3)
    assert isinstance(model, VisionLanguageModel)
    assert type(model) is FAMILIES[name.partition("-")[0]]
    assert model.batch_size == 3
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    torch.testing.assert_close(log_probs(model), log_probs(tiny.model(name)), rtol=0, atol=1e-6)
    known = model.provenance
    assert (known["source"], known["revision"], known["dtype"]) == ("a model", None, "float32")
    assert known["parameters"] == sum(p.numel() for p in tiny.network(tiny.FAMILIES[name]()[0]).parameters())
    assert str(tmp_path) not in json.dumps(known)


def test_dtype_and_device_map(llava: Path) -> None:
    model = load_vlm(llava, dtype=torch.bfloat16, device_map={"": "cpu"})
    assert model.provenance["dtype"] == "bfloat16"
    assert load_vlm(llava).provenance["dtype"] == "float32"  # as it is stored


def test_a_pinned_revision_from_the_cache(llava: Path, cache: Path) -> None:
    shutil.copytree(llava, cache / "models--some--llava" / "snapshots" / COMMIT)
    for name, options in ((f"some/llava@{COMMIT}", {}), ("some/llava", {"revision": COMMIT})):
        model = load_vlm(name, **options)
        assert (model.provenance["source"], model.provenance["revision"]) == ("some/llava", COMMIT)
    torch.testing.assert_close(log_probs(model), log_probs(tiny.model("llava")), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("google/medgemma-4b-it", "https://developers.google.com/health-ai-developer-foundations/terms"),
        ("google/gemma-3-4b-it", "https://ai.google.dev/gemma/terms"),
        ("google/paligemma-3b-mix-224", "https://ai.google.dev/gemma/terms"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "https://huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_a_model_that_is_not_there_names_its_terms_and_the_command(name: str, terms: str) -> None:
    with pytest.raises(FileNotFoundError, match="is not on this machine") as raised:
        load_vlm(name, revision=COMMIT)
    said = str(raised.value)
    assert terms in said
    assert f"https://huggingface.co/{name}" in said
    assert f"hf download {name} --revision {COMMIT} --include '*.safetensors'" in said


def test_a_download_is_asked_for_by_name_and_fetches_no_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked: list[dict[str, Any]] = []

    def refuse(*_: Any, **options: Any) -> None:
        asked.append(options)
        raise hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    with pytest.raises(FileNotFoundError, match="is not on this machine"):
        load_vlm("some/llava", revision=COMMIT)
    with pytest.raises(FileNotFoundError, match=r"could not be fetched \(LocalEntryNotFoundError\)"):
        load_vlm("some/llava", revision=COMMIT, download=True)
    assert [options["local_files_only"] for options in asked] == [True, False]
    assert all(options["revision"] == COMMIT for options in asked)
    for name in ("pytorch_model.bin", "modeling.py", "weights.pt", "weights.ckpt"):
        assert not any(fnmatch(name, pattern) for options in asked for pattern in options["allow_patterns"])


@pytest.mark.parametrize("revision", [None, "main", COMMIT[:12], COMMIT.upper()])
def test_a_revision_has_to_be_pinned(revision: str | None) -> None:
    with pytest.raises(FileNotFoundError, match="not 40 hexadecimal digits") as raised:
        load_vlm("google/medgemma-4b-it", revision=revision)
    assert "hf download google/medgemma-4b-it" in str(raised.value)


def test_bad_names(llava: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'no such folder' is neither demo nor demo-shortcut, nor a folder"):
        load_vlm("no such folder")
    with pytest.raises(ValueError, match="a folder has none"):
        load_vlm(llava, revision=COMMIT)
    with pytest.raises(ValueError, match="two revisions"):
        load_vlm(f"some/llava@{COMMIT}", revision="main")


def test_only_safetensors(llava: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llava, tmp_path / "pickled")
    network = transformers.AutoModelForImageTextToText.from_pretrained(llava)
    (folder / "model.safetensors").unlink()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"holds no \.safetensors"):
        load_vlm(folder)


def test_code_in_a_folder_is_not_run(llava: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llava, tmp_path / "coded")
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n", encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForImageTextToText": "modeling.Model", "AutoConfig": "modeling.Config"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    load_vlm(folder)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"model_type": "llama"}', "type 'llama' is not read here; known: gemma3"), (None, "no config")],
)
def test_a_folder_of_something_else(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_vlm(tmp_path)


def test_an_image_processor_without_gradients(llava: Path) -> None:
    made = transformers.AutoProcessor.from_pretrained(llava, backend="pil")
    with pytest.raises(TypeError, match='backend="torchvision"'):
        FAMILIES["llava"](transformers.AutoModelForImageTextToText.from_pretrained(llava), made)
