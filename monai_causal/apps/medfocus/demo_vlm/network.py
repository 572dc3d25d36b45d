# SPDX-License-Identifier: Apache-2.0
"""The small model as transformers knows it: a LLaVA of a SigLIP tower and a Llama, with a tokenizer of its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from monai_causal.apps.medfocus.demo_vlm.films import SEEN_SIDE
from monai_causal.apps.medfocus.demo_vlm.words import corpus
from monai_causal.extras import require

__all__ = ["PATCH", "build_model", "build_processor", "save_model"]

PATCH = 16
WIDTH = 160
HEADS = 5
TOWER_LAYERS = 5
DECODER_LAYERS = 3
WORDS = 700
SPECIAL = ("<pad>", "<s>", "</s>", "<image>", "<user>", "<assistant>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def build_processor() -> Any:
    """Image processor, tokenizer and chat template. The tokenizer reads any text, in bytes where it must."""
    transformers = require("transformers")
    import tokenizers  # comes with transformers

    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(sorted(set(corpus())), trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>", "user_token": "<user>", "assistant_token": "<assistant>"},
    )
    images = transformers.SiglipImageProcessor(
        size={"height": SEEN_SIDE, "width": SEEN_SIDE}, resample=3, image_mean=[0.5] * 3, image_std=[0.25] * 3
    )
    return transformers.LlavaProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        image_token="<image>",
        chat_template=TEMPLATE,
        num_additional_image_tokens=0,
    )


def build_model(processor: Any, seed: int = 0) -> Any:
    """The untaught model; the same weights for the same seed."""
    transformers = require("transformers")
    tokenizer = processor.tokenizer
    layers = {"hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "num_attention_heads": HEADS}
    config = transformers.LlavaConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            **layers,
            "num_hidden_layers": TOWER_LAYERS,
            "image_size": SEEN_SIDE,
            "patch_size": PATCH,
            "vision_use_head": False,
        },
        text_config={
            "model_type": "llama",
            **layers,
            "num_hidden_layers": DECODER_LAYERS,
            "num_key_value_heads": HEADS,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(SEEN_SIDE // PATCH) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.LlavaForConditionalGeneration(config)


def save_model(model: Any, processor: Any, folder: Path) -> None:
    """An ordinary transformers folder: weights in half precision, computed with in single."""
    model = model.half()
    model.save_pretrained(folder, safe_serialization=True)
    processor.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for part in (config, config["text_config"], config["vision_config"]):
        part["dtype"] = "float32"  # what "auto" computes with: half precision is slow and coarse on a CPU
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    model.float()
