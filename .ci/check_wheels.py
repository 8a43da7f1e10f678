"""Fail unless every wheel holds one top-level package, with its data files, and all wheels hold the same."""

import sys
import zipfile

REQUIRED = [
    "py.typed",
    "configs/demo.yaml",
    "modeling/modeling_mdjpt.py",
    "data_scripts/simulated.py",
    "data_scripts/facts/seed.toml",
    "data_scripts/facts/_bcmi.toml",
    "model_cards/card.md",
    "model_cards/mdjpt.md",
    "model_cards/masked_eeg.md",
]

contents = []
for path in sys.argv[1:]:
    names = sorted(name for name in zipfile.ZipFile(path).namelist() if ".dist-info/" not in name)
    top_level = {name.split("/")[0] for name in names}
    assert top_level == {"mdjpt_hf"}, f"{path} installs {top_level}"
    missing = [name for name in REQUIRED if f"mdjpt_hf/{name}" not in names]
    assert not missing, f"{path} lacks {missing}"
    contents.append(names)
assert all(names == contents[0] for names in contents), "the wheels differ"
print(f"{len(contents)} wheels, {len(contents[0])} files each, top level mdjpt_hf only")
