# SPDX-License-Identifier: Apache-2.0
"""Golden values of byte-pair encoding's training for tests/examples/text/bpe_trainer_test.cpp.

Writes trainer.json beside this file, versions inside:

    pip install tokenizers==0.23.3
    python make_trainer.py

text: the text that both trainers get, as one item.

cases[]: size: the size of the vocabulary that was asked for. tokens: the bytes of each token in the
order of the ids, as hexadecimal digits. merges: the ids of the two tokens of each merge, in order.
The last size is more than the text gives, so that the training ends early there.
"""
import json
import pathlib
import platform

import tokenizers
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

HERE = pathlib.Path(__file__).parent
END_OF_TEXT = "<|endoftext|>"
SIZES = [257, 258, 300, 10000]

# Prose, contractions, code with indentation, numbers, runs of one character, white space of many
# kinds, several scripts, and the name of the special token, which is plain text here.
TEXT = (
    "The harbour master didn't trust the new barometer, and he'd said so to anyone who'd listen. "
    "It's the old one I'll keep, he told them; we've weathered forty winters by it, and they're "
    "still counting. The new barometer hung beside the old one for a year. When the old one fell, "
    "the new one fell; when the old one rose, the new one rose an hour before it.\n\n"
    "In the second winter the harbour master took the old barometer down. He didn't say why, and "
    "nobody who'd listened asked. The nail stayed in the wall.\r\n\r\n"
    "def weathered(winters, harbour=None):\n"
    "    for winter in winters:\n"
    "        if winter.barometer is None:\n"
    "            continue\n"
    "        yield winter.barometer[0], winter.barometer[1]\n"
    "\n\n\n"
    "1 22 333 4444 55555 1000000 1000000 3.14159 2024-05-20 0x134D898 100%\n"
    "aaaaaaaaaaaaa aaaa aaaaaaa aaa aa ===================== ---------- ----- !!!!!!! ??!!??!!\n"
    "\tone\t\ttwo\t\t\tthree\u00a0four\u2003five\u3000six   seven       eight \n \n  \n   \n"
    "Größe, naïve, façade, Ærøskøbing; Größe, naïve, façade.\n"
    "Старый барометр висел рядом с новым. Новый барометр поднимался раньше.\n"
    "Το παλιό βαρόμετρο έπεσε, το νέο βαρόμετρο έπεσε.\n"
    "古い気圧計が下がると、新しい気圧計も下がった。新しい気圧計。\n"
    "البارومتر القديم والبارومتر الجديد\n"
    "पुराना बैरोमीटर और नया बैरोमीटर\n"
    "\U0001f327\U0001f327\U0001f327 \U0001f324\ufe0f \U0001f468\u200d\U0001f469\u200d\U0001f467 "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 ½ ² Ⅷ\n"
    "<|endoftext|><|endoftext|> <|endoftext|>\n"
)


def bytes_of_characters():
    """The byte that each character of the ByteLevel alphabet stands for."""
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    others = [b for b in range(256) if b not in printable]
    table = {chr(b): b for b in printable}
    table.update({chr(256 + i): b for i, b in enumerate(others)})
    return table


def train(size):
    tokenizer = tokenizers.Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(vocab_size=size, special_tokens=[END_OF_TEXT], min_frequency=2,
                         initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([TEXT], trainer=trainer)
    model = json.loads(tokenizer.to_str())["model"]
    ids = model["vocab"]
    table = bytes_of_characters()
    tokens = [t.encode() if t == END_OF_TEXT else bytes(table[c] for c in t)
              for t in sorted(ids, key=ids.get)]
    return {"size": size, "tokens": [t.hex() for t in tokens],
            "merges": [[ids[left], ids[right]] for left, right in model["merges"]]}


def main():
    golden = {"versions": {"python": platform.python_version(),
                           "tokenizers": tokenizers.__version__},
              "text": TEXT, "cases": [train(size) for size in SIZES]}
    (HERE / "trainer.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
