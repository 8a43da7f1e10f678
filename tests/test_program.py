"""How the program tells what a machine lacks."""

import errno

import pytest

from mdjpt_hf.cli.program import _run


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_is_told_with_the_file_and_a_remedy(number, capsys):
    def program():
        raise OSError(number, "whatever a library calls it", "out/table.md")

    with pytest.raises(SystemExit, match="1"):
        _run(program)
    told = capsys.readouterr().err
    assert told.startswith("out/table.md: ") and told.count("\n") == 1 and (". Free" in told or ". Make" in told)


def test_an_error_that_nobody_expected_keeps_its_traceback():
    def program():
        raise OSError(errno.EBADF, "bad file descriptor")

    with pytest.raises(OSError, match="bad file"):
        _run(program)
