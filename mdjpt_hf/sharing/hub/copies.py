"""Checking a copy: the client of the Hub does not notice a byte that changed on the way, or on the disk since."""

from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from mdjpt_hf.errors import ChecksumError, HubError
from mdjpt_hf.sharing.hub.files import CHECKSUMS_FILE, check_folder
from mdjpt_hf.sharing.hub.upload import repeated


def verify(folder_or_repo: str | Path, *, revision: str = "", kind: str = "model") -> list[str]:
    """Compare a folder, or the local copy of a repository, with the checksums that were shared with it.

    What is missing of a repository is downloaded first. Unless the Hub's client is offline, the copy is also compared
    with the hashes the Hub itself keeps, which covers the card and what others added.

    Args:
        folder_or_repo: A folder, or `user/name`.
        revision: Branch, tag or commit of a repository.
        kind: `model`, `dataset` or `space`.

    Returns:
        `list[str]`: The paths that were compared.

    Raises:
        ChecksumError: If a file is missing or differs, or there is no record to compare with.
        HubError: If the repository cannot be had.
    """
    if Path(folder_or_repo).is_dir():
        return check_folder(Path(folder_or_repo))
    repo_id = str(folder_or_repo)
    try:
        folder = Path(repeated(lambda: snapshot_download(repo_id, repo_type=kind, revision=revision or None)))
        checked = _check_copy(folder)
        if not constants.HF_HUB_OFFLINE:
            _compare_with_hub(repo_id, kind, folder)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise HubError(
            f"{repo_id}: {' '.join(str(error).split())}",
            value=repo_id,
            remedy="Give a folder that exists, or the user/name of a repository you may read",
        ) from error
    return checked


def _check_copy(folder: Path) -> list[str]:
    if constants.HF_HUB_OFFLINE and not (folder / CHECKSUMS_FILE).is_file():
        raise ChecksumError(
            "the record of checksums was not downloaded with the rest",
            path=folder,
            remedy="Verify once while online",
        )
    return check_folder(folder)


def _compare_with_hub(repo_id: str, kind: str, folder: Path) -> None:
    commit = folder.name  # a snapshot's folder is named after its commit
    found = repeated(lambda: HfApi().verify_repo_checksums(repo_id, repo_type=kind, revision=commit))
    differing = [entry["path"] for entry in found.mismatches] + found.missing_paths
    if differing:
        raise ChecksumError(
            f"not what the Hub holds: {', '.join(differing)}",
            path=folder,
            value=differing,
            remedy=f"Delete the copy with `hf cache rm {kind}/{repo_id}` and download it again",
        )
