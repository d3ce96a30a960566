"""The line to a server: which addresses are trusted, how redirects are followed, how patient one is."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

from latent_editor.core.errors import FetchFailed
from latent_editor.version import __version__

THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class TransferPolicy:
    """How patient and how trusting a download is.

    Attributes:
        attempts: Failures in a row, none of which brought a byte more, before it gives up.
        attempts_in_all: Failures before it gives up even though each brought some bytes.
        first_wait_s, longest_wait_s: Pauses between attempts, each twice the one before.
        timeout_s: How long the line may be silent.
        redirects: How many are followed.
        max_bytes: Longer files are refused.
        spare_bytes: What has to stay free on the disk.
    """

    attempts: int = 6
    attempts_in_all: int = 200
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    timeout_s: float = 30.0
    redirects: int = 5
    max_bytes: int = 8 << 30
    spare_bytes: int = 64 << 20


def check_address(address: str, came_from: str | None = None) -> None:
    """Raises FetchFailed unless ``address`` is https, or http on this machine.

    Args:
        came_from: What redirected here: only this machine itself may redirect to its own http.
    """
    to = urlsplit(address)
    secret = to.scheme == "https" and bool(to.hostname)
    local = to.scheme == "http" and to.hostname in THIS_MACHINE
    if secret or (local and (came_from is None or urlsplit(came_from).hostname in THIS_MACHINE)):
        return
    led = f"{came_from} redirects to" if came_from else "The address is"
    raise FetchFailed(f"{led} {address!r}; expected https. Nothing is fetched over an open line.")


class TryAgainError(Exception):
    """The attempt failed in a way that may pass.

    Attributes:
        after_s: When the server would like to be asked again, where it says so.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def ask(address: str, headers: dict[str, str], manners: TransferPolicy) -> http.client.HTTPResponse:
    """Asks for a file, and follows redirects to trusted addresses.

    Returns:
        The answer, of a status in the 200s. To be closed.

    Raises:
        urllib.error.HTTPError: an answer of another status. To be closed.
        TryAgainError: no answer.
        FetchFailed: an address or a server that is not trusted.
    """
    headers = {"User-Agent": f"latent-editor/{__version__}", "Accept-Encoding": "identity", **headers}
    try:
        answer: http.client.HTTPResponse = _opener(address, manners).open(
            urllib.request.Request(address, headers=headers), timeout=manners.timeout_s
        )
        return answer
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as e:
        reason = getattr(e, "reason", e)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise FetchFailed(
                f"The certificate of {address} cannot be trusted ({reason.verify_message}). Look at the address in a "
                "browser; a proxy of your network may stand in between."
            ) from e
        raise TryAgainError(str(reason) or type(e).__name__) from e


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, most: int) -> None:
        vars(self)["max_redirections"] = most

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        try:
            check_address(newurl, came_from=req.full_url)
        except FetchFailed:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(address: str, manners: TransferPolicy) -> urllib.request.OpenerDirector:
    local = urlsplit(address).hostname in THIS_MACHINE
    opener = urllib.request.OpenerDirector()  # bare, so that no redirect leads to file: or ftp:
    for handler in (
        urllib.request.ProxyHandler({} if local else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _Redirects(manners.redirects),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
