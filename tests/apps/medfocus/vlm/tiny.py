# SPDX-License-Identifier: Apache-2.0
"""Tiny random vision-language models of every family, built offline from their classes, with tokenizers trained here.

Pictures are small and not square, so that Qwen's grid, Idefics3's tiles and LLaVA's crop all have something to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers.models.smolvlm import processing_smolvlm as smolvlm

from monai_causal.apps.medfocus.vlm.families import FAMILIES as ADAPTERS
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel

IMAGE, PATCH = 56, 14
HEIGHT, WIDTH = 50, 110
HIDDEN = 32

CORPUS = (
    "Is there evidence of pleural effusion in the image?",
    "Answer directly with yes or no without any explanation.",
    "Think step by step and answer with yes or no.",
    "Yes No The heart is enlarged. The answer is yes. User Assistant model",
)

CHAT = (
    "{% if bos %}{{ bos_token }}{% endif %}{% for message in messages %}<|start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def tokenizer(*special: str, bos: bool = False, **named: str) -> Any:
    """A byte-level tokenizer with the given special tokens; ``bos`` adds the first token by itself, as Gemma's does."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    tokens = ["<pad>", "<bos>", "<eos>", "<|start|>", "<|end|>", *special, *named.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=tokens, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    if bos:
        from tokenizers.processors import TemplateProcessing

        made.post_processor = TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", made.token_to_id("<bos>"))], pair="<bos> $A $B:1"
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<bos>", eos_token="<|end|>", extra_special_tokens=named
    )


def text_config(kind: str, vocabulary: int, **more: Any) -> dict[str, Any]:
    return {
        "model_type": kind,
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 1024,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 4,
        **more,
    }


def vision_config(kind: str, layers: int, size: int = IMAGE, **more: Any) -> dict[str, Any]:
    return {
        "model_type": kind,
        "hidden_size": HIDDEN,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "image_size": size,
        "patch_size": PATCH,
        **more,
    }


def llava(vision: str = "siglip", layers: int = 2) -> tuple[Any, Any]:
    tokens = tokenizer("<image>", bos=True)
    if vision == "siglip":
        images: Any = transformers.SiglipImageProcessor(size={"height": IMAGE, "width": IMAGE})
        tower = vision_config("siglip_vision_model", layers)
    else:
        images = transformers.CLIPImageProcessor(
            size={"shortest_edge": IMAGE}, crop_size={"height": IMAGE, "width": IMAGE}
        )
        tower = vision_config("clip_vision_model", layers)
    strategy, extra = ("full", 0) if vision == "siglip" else ("default", 1)
    processor = transformers.LlavaProcessor(
        images,
        tokens,
        patch_size=PATCH,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=extra,
        chat_template=CHAT.replace("IMAGE", "<image>\n"),
    )
    config = transformers.LlavaConfig(
        vision_config=tower,
        text_config=text_config("llama", len(tokens)),
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy=strategy,
    )
    return config, processor


def paligemma(layers: int = 2) -> tuple[Any, Any]:
    tokens = tokenizer("<image>")
    images = transformers.SiglipImageProcessor(size={"height": IMAGE, "width": IMAGE})
    images.image_seq_length = (IMAGE // PATCH) ** 2
    processor = transformers.PaliGemmaProcessor(images, tokens)
    config = transformers.PaliGemmaConfig(
        vision_config=vision_config("siglip_vision_model", layers, projection_dim=HIDDEN, vision_use_head=False),
        text_config=text_config("gemma", len(tokens)),
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
        projection_dim=HIDDEN,
        hidden_size=HIDDEN,
    )
    return config, processor


def gemma3(layers: int = 2) -> tuple[Any, Any]:
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokens = tokenizer(bos=True, **named)
    images = transformers.Gemma3ImageProcessor(size={"height": IMAGE, "width": IMAGE})
    template = CHAT.replace("IMAGE", "<start_of_image>").replace(
        "{% if bos %}{{ bos_token }}{% endif %}", "{{ bos_token }}"
    )
    processor = transformers.Gemma3Processor(images, tokens, chat_template=template, image_seq_length=4)
    config = transformers.Gemma3Config(
        vision_config=vision_config("siglip_vision_model", layers, vision_use_head=False),
        text_config=text_config(
            "gemma3_text",
            len(tokens),
            sliding_window=16,
            layer_types=["sliding_attention", "full_attention"],
            query_pre_attn_scalar=8,
        ),
        mm_tokens_per_image=4,
        boi_token_index=tokens.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokens.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokens.convert_tokens_to_ids("<image_soft_token>"),
    )
    return config, processor


def qwen2_5_vl(layers: int = 2) -> tuple[Any, Any]:
    tokens = tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    images = transformers.Qwen2VLImageProcessor(
        size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16}, patch_size=PATCH, merge_size=2
    )
    videos = transformers.Qwen2VLVideoProcessor()
    template = CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    processor = transformers.Qwen2_5_VLProcessor(images, tokens, videos, chat_template=template)
    text = text_config(
        "qwen2_5_vl_text",
        len(tokens),
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
    )
    text.pop("head_dim")
    config = transformers.Qwen2_5_VLConfig(
        vision_config={
            "depth": layers,
            "hidden_size": HIDDEN,
            "intermediate_size": 48,
            "num_heads": 4,
            "patch_size": PATCH,
            "spatial_merge_size": 2,
            "window_size": 56,
            "out_hidden_size": HIDDEN,
            "fullatt_block_indexes": [1],
        },
        text_config=text,
        image_token_id=tokens.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokens.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokens.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokens.convert_tokens_to_ids("<|vision_end|>"),
    )
    return config, processor


def idefics3(name: str = "Idefics3", layers: int = 2) -> tuple[Any, Any]:
    """Idefics3 and its sibling SmolVLM."""
    places = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokens = tokenizer(
        "<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *places,
        **({"image_token": "<image>", "fake_image_token": "<fake_token_around_image>",
            "global_image_token": "<global-img>"} if name == "SmolVLM" else {}),
    )  # fmt: skip
    if name == "SmolVLM":  # its processor asks for a library that only videos need
        smolvlm.num2words = smolvlm.num2words or str
    classes = {kind: getattr(transformers, name + kind) for kind in ("ImageProcessor", "Processor", "Config")}
    images = classes["ImageProcessor"](size={"longest_edge": 2 * IMAGE}, max_image_size={"longest_edge": IMAGE})
    parts = [images, tokens]
    if name == "SmolVLM":
        parts.append(transformers.SmolVLMVideoProcessor(size={"longest_edge": IMAGE}))
    processor = classes["Processor"](*parts, image_seq_len=4, chat_template=CHAT.replace("IMAGE", "<image>"))
    kind = "idefics3_vision" if name == "Idefics3" else "smolvlm_vision"
    config = classes["Config"](
        vision_config=vision_config(kind, layers),
        text_config=text_config("llama", len(tokens)),
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return config, processor


FAMILIES = {
    "llava": llava,
    "llava-clip": lambda layers=2: llava("clip", layers),
    "gemma3": gemma3,
    "qwen2_5_vl": qwen2_5_vl,
    "idefics3": idefics3,
    "smolvlm": lambda layers=2: idefics3("SmolVLM", layers),
    "paligemma": paligemma,
}


def network(config: Any, seed: int = 0) -> Any:
    """A random network that depends strongly on its picture: weights of a trained size instead of 0.02."""
    torch.manual_seed(seed)
    made = transformers.AutoModelForImageTextToText.from_config(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.ndim > 1:
                fan = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan**0.5)
            elif name.endswith("bias"):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return made


def folder(name: str, at: Path, layers: int = 2) -> Path:
    """Save a family's model and processor as an ordinary transformers folder."""
    config, processor = FAMILIES[name](layers=layers)
    network(config).save_pretrained(at)
    processor.save_pretrained(at)
    return at


def picture(seed: int = 0, channels: int = 1, size: tuple[int, int] = (HEIGHT, WIDTH)) -> torch.Tensor:
    """A smooth random picture in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, channels, 7, 9), generator=generator)
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)[0]


def model(name: str, layers: int = 2, **options: Any) -> VisionLanguageModel:
    """A family's adapter on a tiny random network, without a folder."""
    config, processor = FAMILIES[name](layers=layers)
    return ADAPTERS[config.model_type](network(config), processor, **options)
