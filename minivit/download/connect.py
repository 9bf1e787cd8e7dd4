"""One request, and what each kind of failure means: try again, or tell the user."""

import http.client
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from .. import __version__
from ..errors import InputError

TIMEOUT = 30  # seconds without a byte
PASSING = (408, 425, 429)  # and 5xx: the same request may succeed later
LINKED = "x-linked-etag"  # Hugging Face tells the hash where it redirects, not where the bytes come from
REASONS = {
    401: "the server wants to know who you are",
    403: "the server refuses to give it; a proxy, a mirror or its owner may be the reason",
    404: "the server has no such file",
    407: "the proxy wants a user and a password: https_proxy=http://USER:PASSWORD@HOST:PORT",
}


class Again(Exception):
    """This attempt failed, the next may not."""


def connect(url, start=0, version=None):
    """The answer to a request for the bytes from `start` on; 200 (all of them), 206 (those) or 416 (there are none).

    version: what identifies the file's version (If-Range).  Raises Again, or InputError if trying again is useless.
    """
    headers = {"User-Agent": f"minivit/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    try:
        request = urllib.request.Request(url, headers=headers)
        redirects = _Redirects()
        response = urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT)
        if redirects.linked and LINKED not in response.headers:
            response.headers[LINKED] = redirects.linked
        return response
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            return error
        error.close()
        raise _failure(url, error.code) from error
    except (http.client.InvalidURL, ValueError) as error:
        raise InputError(f"{url}: not an address of the web ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, getattr(error, "reason", error)) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows them and remembers the hash that one of them told."""

    linked = None

    def redirect_request(self, request, file, code, message, headers, address):
        self.linked = headers.get(LINKED, self.linked)
        return super().redirect_request(request, file, code, message, headers, address)


def _failure(url, code):
    what = f"{http.client.responses.get(code, 'an unknown answer')} ({code})"
    if code in PASSING or code >= 500:
        return Again(f"the server answers {what}")
    return InputError(f"{url}: {REASONS.get(code, 'the server does not give it')}: {what}")


def _unreachable(url, reason):
    host = urlsplit(url).hostname
    if isinstance(reason, ssl.SSLCertVerificationError):
        why = "is this network's log-in page, or a proxy, in between?"
        return InputError(f"{url}: {host} cannot prove who it is ({reason.verify_message}); {why}")
    return Again(f"{host} cannot be reached ({' '.join(str(reason).split()) or type(reason).__name__})")
