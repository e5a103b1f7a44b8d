"""A vision-language model small enough for tests: the real Qwen2.5-VL classes, untrained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsfiqa.reading import wording
from rsfiqa.types import DIMENSIONS, LEVELS

END_OF_TEXT, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
IMAGE_PAD, VIDEO_PAD = "<|image_pad|>", "<|video_pad|>"
SPECIAL_TOKENS = (
    END_OF_TEXT,
    TURN,
    END_OF_TURN,
    VISION_START,
    VISION_END,
    IMAGE_PAD,
    VIDEO_PAD,
)

PATCH = 14
FEWEST_PIXELS, MOST_PIXELS = 4 * PATCH * PATCH, 64 * 4 * PATCH * PATCH
"""At most 64 image tokens a picture."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or part['type'] == 'image_url' or 'image' in part %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_vlm(folder: Path, *, seed: int = 0) -> Path:
    """Save an untrained Qwen2.5-VL with its processor; `Auto…from_pretrained(folder)` load it.

    Each level word with its leading space, and bare, is one token. The same seed gives the same
    weights.
    """
    import torch
    import transformers

    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.Qwen2_5_VLForConditionalGeneration(_config(tokenizer))
    model.generation_config = transformers.GenerationConfig(
        do_sample=False,
        eos_token_id=tokenizer.convert_tokens_to_ids(END_OF_TURN),
        pad_token_id=tokenizer.convert_tokens_to_ids(END_OF_TEXT),
    )
    model.save_pretrained(folder)
    _processor(tokenizer).save_pretrained(folder)
    return folder


def teach_to_say(folder: Path, question: str, answer: str, *, steps: int = 200) -> None:
    """Teach the model in a folder, in some seconds, to answer whatever it is shown with one text.

    Args:
        folder: as `tiny_vlm` saved it; its weights are replaced.
        question: like those that it will be asked.
        answer: what it says from then on, greedily.
        steps: at most.
    """
    import numpy as np
    import torch
    import transformers
    from PIL import Image

    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    content = [{"type": "image"}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": content}]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
    whole = prompt + answer + END_OF_TURN
    length = len(processor.tokenizer(answer + END_OF_TURN)["input_ids"])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    random = np.random.default_rng(0)
    sure = 0
    for _ in range(steps):
        # Pictures of many sizes, so that it does not learn by heart at which place it begins.
        size = (*random.integers(56, 225, 2), 3)
        picture = Image.fromarray(random.integers(0, 256, size, dtype=np.uint8))
        inputs = processor(text=[whole], images=[picture], return_tensors="pt")
        labels = inputs["input_ids"].clone()
        labels[:, :-length] = -100
        loss = model(**inputs, labels=labels).loss
        sure = sure + 1 if loss.item() < 5e-3 else 0
        if sure == 5:
            break
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.save_pretrained(folder)


def _texts() -> Iterator[str]:
    yield wording.CONTENT_QUESTION
    yield wording.content_answer("a brown dog on green grass")
    yield "".join(f"{role}\n" for role in ("system", "user", "assistant"))
    for dimension in DIMENSIONS:
        yield wording.rating_question(dimension)
        for level in LEVELS:
            yield wording.rating_answer(dimension, level)
            yield f'{{"{dimension}": "{level}"}}'


def _tokenizer() -> Any:
    """Qwen's tokenizer class with a small byte-level vocabulary learnt from our own wording."""
    import json

    import transformers
    from tokenizers import trainers

    shell = transformers.Qwen2Tokenizer()
    trained = shell.backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        # A merge that occurs once is learnt too, so that rare level words become one token.
        min_frequency=1,
        initial_alphabet=_byte_alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(_texts(), trainer)
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        model_max_length=4096,
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _byte_alphabet() -> list[str]:
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _config(tokenizer: Any) -> Any:
    import transformers

    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "initializer_range": 0.2,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": [2, 3, 3],
        },
        "bos_token_id": ids[END_OF_TEXT],
        "eos_token_id": ids[END_OF_TURN],
        "pad_token_id": ids[END_OF_TEXT],
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": PATCH,
        "window_size": 4 * PATCH,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
        "initializer_range": 0.2,
    }
    return transformers.Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids[IMAGE_PAD],
        video_token_id=ids[VIDEO_PAD],
        vision_start_token_id=ids[VISION_START],
        vision_end_token_id=ids[VISION_END],
        tie_word_embeddings=True,
    )


def _processor(tokenizer: Any) -> Any:
    import transformers

    size = {"shortest_edge": FEWEST_PIXELS, "longest_edge": MOST_PIXELS}
    return transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    )
