"""HTTP connections for downloads: trusted addresses, redirects, timeouts and retries."""

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

LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class TransferPolicy:
    """Timeouts, retries and limits of a download.

    Attributes:
        max_stalled_attempts: Give up after this many consecutive attempts without progress.
        max_attempts: Give up after this many failed attempts in total.
        initial_delay_s, max_delay_s: Exponential backoff between attempts; the delay doubles each time.
        timeout_s: Socket timeout.
        max_redirects: How many redirects to follow.
        max_bytes: Refuse larger files.
        min_free_bytes: Disk space to leave free.
    """

    max_stalled_attempts: int = 6
    max_attempts: int = 200
    initial_delay_s: float = 0.5
    max_delay_s: float = 30.0
    timeout_s: float = 30.0
    max_redirects: int = 5
    max_bytes: int = 8 << 30
    min_free_bytes: int = 64 << 20


def check_address(address: str, redirected_from: str | None = None) -> None:
    """Raises FetchFailed unless ``address`` is https, or http on the local host.

    Args:
        address: The URL.
        redirected_from: The URL that redirected here; only the local host may redirect to local http.
    """
    to = urlsplit(address)
    encrypted = to.scheme == "https" and bool(to.hostname)
    local = to.scheme == "http" and to.hostname in LOCAL_HOSTS
    if encrypted or (local and (redirected_from is None or urlsplit(redirected_from).hostname in LOCAL_HOSTS)):
        return
    subject = f"{redirected_from} redirects to" if redirected_from else "The address is"
    raise FetchFailed(f"{subject} {address!r}; expected https. Files are not fetched over unencrypted connections.")


class RetryableError(Exception):
    """A failed attempt that is worth retrying.

    Attributes:
        after_s: The delay that the server asked for (Retry-After), if any.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def open_url(address: str, headers: dict[str, str], policy: TransferPolicy) -> http.client.HTTPResponse:
    """Requests a file, following redirects to trusted addresses.

    Returns:
        The response, with a 2xx status. The caller closes it.

    Raises:
        urllib.error.HTTPError: a response with another status. The caller closes it.
        RetryableError: no response.
        FetchFailed: an untrusted address or certificate.
    """
    headers = {"User-Agent": f"latent-editor/{__version__}", "Accept-Encoding": "identity", **headers}
    try:
        response: http.client.HTTPResponse = _opener(address, policy).open(
            urllib.request.Request(address, headers=headers), timeout=policy.timeout_s
        )
        return response
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as e:
        reason = getattr(e, "reason", e)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise FetchFailed(
                f"The certificate of {address} is not trusted ({reason.verify_message}). Check the address in a "
                "browser; a proxy in your network may intercept the connection."
            ) from e
        raise RetryableError(str(reason) or type(e).__name__) from e


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, limit: int) -> None:
        vars(self)["max_redirections"] = limit

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        try:
            check_address(newurl, redirected_from=req.full_url)
        except FetchFailed:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(address: str, policy: TransferPolicy) -> urllib.request.OpenerDirector:
    local = urlsplit(address).hostname in LOCAL_HOSTS
    opener = urllib.request.OpenerDirector()  # without default handlers: no redirect to file: or ftp:
    for handler in (
        urllib.request.ProxyHandler({} if local else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _Redirects(policy.max_redirects),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
