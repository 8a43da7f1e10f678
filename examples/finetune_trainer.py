"""Fine-tune an encoder with transformers' own Trainer: copy this file and change what you need.

    python examples/finetune_trainer.py outputs/demo --data outputs/demo/data --target valence_class --out outputs/mine

`--method head` leaves the encoder as it is, `lora` needs `pip install peft`; `--target ratings` predicts what subjects
reported (valence, arousal, ...; 0 to 1) instead of a class. Validation subjects never train; they end the training.
"""

import argparse

import numpy as np
import torch
import transformers
from torch.utils.data import Subset

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.targets import find_target
from mdjpt_hf.evaluation.scores.metrics import all_metrics
from mdjpt_hf.finetuning.windows import LabelledDataset, RecordingSampler, split_subjects

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", help="run folder or Hub id")
parser.add_argument("--data", action="append", required=True, help="prepared corpus; repeat for several")
parser.add_argument("--out", required=True)
parser.add_argument("--target", default="label", help="label, emotion, valence_class, clip_valence or ratings")
parser.add_argument("--method", default="full", choices=["full", "head", "lora"])
parser.add_argument("--epochs", type=int, default=0, help="0: twenty, and at least 300 steps")
parser.add_argument("--seed", type=int, default=0)
transformers.set_seed((args := parser.parse_args()).seed)

target = find_target(corpora := open_corpora(args.data), args.target)
regression = target.problem_type == "regression"
names = {"id2label": dict(enumerate(target.names)), "label2id": {name: n for n, name in enumerate(target.names)}}
settings = {"problem_type": target.problem_type, "ignore_mismatched_sizes": True, **names}
model = transformers.AutoModelForSequenceClassification.from_pretrained(args.model, **settings)
windows = LabelledDataset(corpora, target, model.config.window_seconds, stride_seconds=5.0)
validates = split_subjects(windows.subject, windows.label, 0.2, args.seed)  # a fifth of the subjects of every corpus
training, validation = (Subset(windows, np.flatnonzero(part).tolist()) for part in (~validates, validates))

if args.method == "head":
    model.base_model.requires_grad_(False)
elif args.method == "lora":
    from peft import LoraConfig, get_peft_model

    encoder = [name for name, part in model.base_model.named_modules() if isinstance(part, torch.nn.Linear)]
    model = get_peft_model(model, LoraConfig("SEQ_CLS", target_modules=encoder, modules_to_save=["classifier"]))


def compute_metrics(predicted):
    if regression:
        return {"mean_absolute_error": float(np.nanmean(np.abs(predicted.predictions - predicted.label_ids)))}
    return all_metrics(predicted.label_ids, torch.tensor(predicted.predictions).double().softmax(-1).numpy())


def weighted_loss(outputs, labels, num_items_in_batch=None):  # a rare class counts as much as a frequent one
    counts = np.bincount(windows.label[~validates], minlength=len(target.names))
    weights = torch.tensor(counts.sum() / np.maximum(counts, 1) / len(counts), device=labels.device).float()
    return torch.nn.functional.cross_entropy(outputs["logits"], labels, weights)


class Trainer(transformers.Trainer):
    def _get_train_sampler(self, *ignored):  # windows of a recording are normalised together, so they come together
        return RecordingSampler(windows.recording[~validates], 16, args.seed)


better = {"metric_for_best_model": "mean_absolute_error" if regression else "balanced_accuracy"}
better |= {"greater_is_better": not regression, "load_best_model_at_end": True, "save_total_limit": 2}
steps = (epoch := -(-len(training) // 64)) * args.epochs or max(20 * epoch, 300)  # a small corpus has 2 in an epoch
often = dict.fromkeys(["eval_steps", "save_steps"], min(max(epoch, 25), steps)) | {"max_steps": steps, "report_to": []}
often |= {"eval_strategy": "steps", "save_strategy": "steps", "dataloader_pin_memory": torch.cuda.is_available()}
learns = {"per_device_train_batch_size": 64, "learning_rate": 2e-4 if args.method == "full" else 1e-3}
run = transformers.TrainingArguments(args.out, label_names=["labels"], seed=args.seed, **better, **often, **learns)
hooks = {"compute_metrics": compute_metrics, "compute_loss_func": None if regression else weighted_loss}
hooks["callbacks"] = [transformers.EarlyStoppingCallback(early_stopping_patience=5)]
trainer = Trainer(model, run, train_dataset=training, eval_dataset=validation, **hooks)
trainer.train()
trainer.save_metrics("eval", trainer.evaluate())  # on the subjects who chose the epoch: optimistic by that choice
(model.merge_and_unload() if args.method == "lora" else model).cpu().save_pretrained(args.out)
transformers.AutoFeatureExtractor.from_pretrained(args.model).save_pretrained(args.out)
