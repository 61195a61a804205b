#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python's side of the comparison of GPT-2: answers the same requests as the program gpt2_benchmark.

compare.py starts it. Each line of standard input is a request in JSON, answered by one line of JSON on standard output;
main.cpp beside this file lists the requests. The training steps are nanoGPT's (its model.py, from the folder that
IVON_NANOGPT names) with torch.optim.AdamW(fused=True), generation is transformers', and "encode" has one more key,
"library": tiktoken or tokenizers.
"""

import contextlib
import importlib
import importlib.util
import os
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))
from answering import (  # noqa: E402
    about_torch, answer_requests, dispatch, import_torchvision, peak_mib, steps_answer)

# GPT-2's: cuts a text into the pieces within which bytes are merged.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def import_nanogpt():
    folder = os.environ.get("IVON_NANOGPT")
    if not folder:
        raise ValueError("IVON_NANOGPT must name the folder of nanoGPT")
    sys.path.insert(0, folder)
    return importlib.import_module("model")


class Training:
    """As nanoGPT's train.py: forward pass, backward pass, clipping, update."""

    def __init__(self, request):
        if request.get("contender", "adamw") != "adamw":
            raise ValueError(f"the contender must be adamw in Python, got {request['contender']}")
        torch.set_num_threads(request.get("threads", torch.get_num_threads()))
        torch.manual_seed(1)
        nanogpt = import_nanogpt()
        config = nanogpt.GPTConfig(
            block_size=request["context"], vocab_size=request["vocabulary"], n_layer=request["layers"],
            n_head=request["heads"], n_embd=request["width"], dropout=0.0, bias=True)
        with contextlib.redirect_stdout(sys.stderr):  # it prints the number of its parameters
            self.model = nanogpt.GPT(config).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=True)
        shape = (request["batch"], request["tokens"])
        self.inputs = torch.randint(0, request["vocabulary"], shape)
        self.targets = torch.randint(0, request["vocabulary"], shape)

    def step(self):
        """A step on the fixed random batch."""
        _, loss = self.model(self.inputs, self.targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Generation:
    """transformers' GPT-2 with random weights and its cache of keys and values."""

    def __init__(self, request):
        if importlib.util.find_spec("torchvision"):
            import_torchvision(torch)  # transformers imports it, and fails where its compiled part does not fit
        from transformers import GPT2Config, GPT2LMHeadModel

        self.vocabulary = request["vocabulary"]
        self.model = GPT2LMHeadModel(GPT2Config(
            vocab_size=self.vocabulary, n_positions=request["context"], n_embd=request["width"],
            n_layer=request["layers"], n_head=request["heads"])).eval()
        # No token ends the text, so that all of them are generated.
        self.model.generation_config.eos_token_id = None
        self.model.generation_config.pad_token_id = 0

    def seconds(self, prompt, count):
        tokens = torch.randint(0, self.vocabulary, (1, prompt))
        begin = time.perf_counter()
        out = self.model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count,
                                  do_sample=False, use_cache=True)
        seconds = time.perf_counter() - begin
        if out.shape[1] != prompt + count:
            raise RuntimeError(f"generate() must return {prompt + count} tokens, but returned {out.shape[1]}")
        return seconds


def vocabulary_files(folder):
    """The paths of the vocabulary and of its merges, by Hugging Face's or by OpenAI's names."""
    for names in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
        files = [pathlib.Path(folder, name) for name in names]
        if all(file.exists() for file in files):
            return [str(file) for file in files]
    raise FileNotFoundError(f"{folder}: must hold vocab.json and merges.txt, or encoder.json and vocab.bpe")


def tiktoken_encoder(vocab, merges):
    os.environ["TIKTOKEN_CACHE_DIR"] = ""  # the files are read where they are
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    ranks = data_gym_to_mergeable_bpe_ranks(merges, vocab)
    encoding = tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": len(ranks)})
    return encoding.encode_ordinary


def tokenizers_encoder(vocab, merges):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE.from_file(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return lambda text: tokenizer.encode_batch_fast([text])[0].ids  # without the places of the tokens in the text


ENCODERS = {"tiktoken": tiktoken_encoder, "tokenizers": tokenizers_encoder}


class Requests:
    def __init__(self):
        self.training, self.generation, self.encoder = None, None, None

    def answer(self, request):
        return dispatch({"about": lambda _request: about_torch(torch), "open": self.open, "steps": self.steps,
                         "generate": self.generate, "encode": self.encode}, request)

    def open(self, request):
        self.training = None
        self.training = Training(request)
        return {"threads": torch.get_num_threads(), "peak_mib": peak_mib(),
                "parameters": sum(p.numel() for p in self.training.model.parameters())}

    def steps(self, request):
        if self.training is None:
            raise ValueError('there is no model yet; request "open" first')
        return steps_answer(self.training.step, request)

    def generate(self, request):
        torch.set_num_threads(request.get("threads", torch.get_num_threads()))
        if self.generation is None:
            self.generation = Generation(request)
        seconds = self.generation.seconds(request["prompt"], request["count"])
        return {"tokens": request["count"], "seconds": seconds, "peak_mib": peak_mib()}

    def encode(self, request):
        if self.encoder is None:
            self.encoder = ENCODERS[request["library"]](*vocabulary_files(request["vocabulary"]))
        data = pathlib.Path(request["text"]).read_bytes()
        text = data.decode("utf-8")
        begin = time.perf_counter()
        ids = self.encoder(text)
        seconds = time.perf_counter() - begin
        numbers = torch.tensor(ids, dtype=torch.int64)
        checksum = int((numbers * torch.arange(1, len(ids) + 1)).sum()) % 2**64
        return {"bytes": len(data), "tokens": len(ids), "seconds": seconds, "checksum": checksum}


if __name__ == "__main__":
    answer_requests(Requests().answer)
