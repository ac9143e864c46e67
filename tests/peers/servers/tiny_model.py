"""Writes a language model of one layer with random weights, and starts what serves it.

    python -m tests.peers.servers.tiny_model FILE COMMAND...

GGUF version 3 by the text of its specification (docs/gguf.md of ggml-org/ggml): a llama of
a few words, 120 kB. It says them at random, but the same each time, as the weights are
seeded; and it goes on until it is told to stop, as control tokens are never the likeliest.
"""

from __future__ import annotations

import os
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = [
    *("▁", "▁the", "▁a", "▁server", "▁sends", "▁text", "▁event", "▁stream", "▁and", "▁ends"),
    *("Grü", "ße", "▁世界", "😀", "é", "。", ",", "."),
]
WIDTH, HEADS, INNER, LONGEST = 32, 2, 64, 2048
"""Of the vectors, how many heads of attention, of the inner layer; tokens of context."""

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{number:02X}>" for number in range(256)]
CALL = "<tool_call>\n"
"""One token, for a request's ``logit_bias`` to ask for; then a grammar says what follows."""
TOKENS = [*SPECIAL, *BYTES, CALL, *WORDS]
TYPES = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * (1 + len(WORDS))]
CALL_TOKEN = TOKENS.index(CALL)
"""The last of those that are not chosen by themselves."""

# Calls of tools as Hermes and Qwen write them, which llama.cpp makes a grammar of.
TEMPLATE = """\
{%- if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>{% endif %}
{%- for message in messages %}{{ message.role }}: {{ message.content or "" }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}
{% endfor %}
{%- if add_generation_prompt %}assistant:
{% endif %}"""

PACK: dict[int, Callable[[Any], bytes]] = {
    U32: lambda value: struct.pack("<I", value),
    I32: lambda value: struct.pack("<i", value),
    F32: lambda value: struct.pack("<f", value),
    BOOL: lambda value: struct.pack("<?", value),
    STRING: lambda value: struct.pack("<Q", len(value.encode())) + value.encode(),
}

METADATA: list[tuple[str, int, Any]] = [
    ("general.architecture", STRING, "llama"),
    ("general.name", STRING, "tiny"),
    ("llama.vocab_size", U32, len(TOKENS)),
    ("llama.context_length", U32, LONGEST),
    ("llama.embedding_length", U32, WIDTH),
    ("llama.block_count", U32, 1),
    ("llama.feed_forward_length", U32, INNER),
    ("llama.rope.dimension_count", U32, WIDTH // HEADS),
    ("llama.attention.head_count", U32, HEADS),
    ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
    ("tokenizer.ggml.model", STRING, "llama"),
    ("tokenizer.ggml.bos_token_id", U32, 1),
    ("tokenizer.ggml.eos_token_id", U32, 2),
    ("tokenizer.ggml.unknown_token_id", U32, 0),
    ("tokenizer.ggml.add_space_prefix", BOOL, False),  # a grammar reads the prompt's end
    ("tokenizer.chat_template", STRING, TEMPLATE),
]
ARRAYS: list[tuple[str, int, list[Any]]] = [
    ("tokenizer.ggml.tokens", STRING, TOKENS),
    ("tokenizer.ggml.scores", F32, [-float(number) for number in range(len(TOKENS))]),
    ("tokenizer.ggml.token_type", I32, TYPES),
]
# Names and shapes; ggml has the length of a row first.
TENSORS: list[tuple[str, tuple[int, ...]]] = [
    ("token_embd.weight", (WIDTH, len(TOKENS))),
    ("output_norm.weight", (WIDTH,)),
    ("output.weight", (WIDTH, len(TOKENS))),
    ("blk.0.attn_norm.weight", (WIDTH,)),
    ("blk.0.attn_q.weight", (WIDTH, WIDTH)),
    ("blk.0.attn_k.weight", (WIDTH, WIDTH)),
    ("blk.0.attn_v.weight", (WIDTH, WIDTH)),
    ("blk.0.attn_output.weight", (WIDTH, WIDTH)),
    ("blk.0.ffn_norm.weight", (WIDTH,)),
    ("blk.0.ffn_gate.weight", (WIDTH, INNER)),
    ("blk.0.ffn_up.weight", (WIDTH, INNER)),
    ("blk.0.ffn_down.weight", (INNER, WIDTH)),
]


def model() -> bytes:
    """Return the file."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(TENSORS), len(METADATA) + len(ARRAYS))
    for name, kind, value in METADATA:
        head += PACK[STRING](name) + struct.pack("<I", kind) + PACK[kind](value)
    for name, kind, values in ARRAYS:
        head += PACK[STRING](name) + struct.pack("<IIQ", ARRAY, kind, len(values))
        head += b"".join(map(PACK[kind], values))
    data = b""
    source = random.Random(1)
    for name, shape in TENSORS:
        head += PACK[STRING](name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}QIQ", *shape, 0, len(data))  # 0: F32
        data += _aligned(_weights(name, shape, source))
    return _aligned(head) + data


def _weights(name: str, shape: tuple[int, ...], source: random.Random) -> bytes:
    if len(shape) == 1:
        return struct.pack("<f", 1.0) * shape[0]
    width, rows = shape
    weights = [source.gauss(0, 0.5) for _ in range(width * rows)]
    if name == "output.weight":
        weights[: (CALL_TOKEN + 1) * width] = [0.0] * ((CALL_TOKEN + 1) * width)
    return struct.pack(f"<{len(weights)}f", *weights)


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(model())
    os.execvp(sys.argv[2], sys.argv[2:])
