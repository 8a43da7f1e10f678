"""`python -m mdjpt_hf` is the `mdjpt` command."""

from mdjpt_hf.cli import main

if __name__ == "__main__":
    main()
