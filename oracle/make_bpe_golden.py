"""Train a byte-level BPE tokenizer with Hugging Face's own trainer (Rust), as reference for ours.

Run: python make_bpe_golden.py OUT_DIR     (tokenizers 0.23.3)
Writes OUT_DIR/bpe-trained.json: {texts, vocab_size, vocab, merges, probes: [{text, ids}]}.
"""
import json, os, sys
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

out = sys.argv[1]
texts = [
    "The kettle is on. The kettle was on at 7:45, and on 12 May 2024 it wasn't.\n\nAda: Where's the kettle?\nBo:\tOn  the   stove!\n" * 3,
    "aaaa aaaaa aaaaaa abab ababab bababa mississippi Mississippi\n" * 4,
    "Grüße aus Köln: «Straße», naïve café, Ωμέγα και άλφα. Привет, мир! 你好，世界。こんにちは 🙂🙃 👩‍👩‍👧\r\n" * 3,
]
size = 420
t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
trainer = trainers.BpeTrainer(
    vocab_size=size, min_frequency=2, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
)
t.train_from_iterator(texts, trainer)
model = json.loads(t.to_str())["model"]
probes = texts + ["unseen zebra 2025 €", "<|endoftext|>The kettle"]
made = dict(texts=texts, vocab_size=size, vocab=model["vocab"], merges=model["merges"], probes=[dict(text=p, ids=t.encode(p).ids) for p in probes])
with open(os.path.join(out, "bpe-trained.json"), "w") as f:
    json.dump(made, f, ensure_ascii=True)
    f.write("\n")
