"""Bring one file over HTTP to the disk: go on where an earlier attempt stopped, try again, and never keep a web page.

An unfinished file is NAME.part; NAME.part.json tells which version of the file on the server it is a part of, so that
two versions are never glued together (If-Range: RFC 9110, section 13.1.5).
"""

import http.client
import re
import time
from urllib.parse import urlsplit

from ..errors import InputError
from . import hashes
from .connect import Again, connect
from .part import Part

ATTEMPTS = 4  # in a row without a byte more
PAUSE = 1.0  # seconds after the first of them, 3 after the second, 7 after the third
CHUNK = 1 << 18
ROUNDING = 0.02  # published sizes are rounded; a server that announces another size has another file


def bring(url, path, published, report):
    """Bring the file at `url` to the Path `path`; returns the finished Part.

    published: its bytes as published, rounded.  report: what has `progress(done, total)` and `note(text)`.
    Raises InputError, one line that says what to do; what has come until then stays, if it can be continued.
    """
    part, failures = Part(path, url), 0
    while not part.complete:
        before = part.size
        try:
            _attempt(part, published, report)
        except Again as error:
            failures = 0 if part.size > before else failures + 1
            if failures == ATTEMPTS:
                raise InputError(f"{url}: {error}, {ATTEMPTS} times; {part.advice}") from error
            report.note(f"{error}; trying again")
            time.sleep(PAUSE * (2**failures - 1))
    return part


def _attempt(part, published, report):
    """Ask for what is missing, and append it."""
    start = part.size if part.version else 0
    with connect(part.url, start, part.version) as response:
        if response.status == 416:
            raise _nothing_left(part, response)
        if response.status != 206:  # the whole file: the server cannot go on in the middle, or the file has changed
            start = 0
        elif not _continues(response, part, start):
            part.forget()
            raise Again("the server went on with another version of the file")
        data = _read(response)
        if not start:
            total = _number(response.headers.get("Content-Length"))
            _refuse_web_page(part.url, response, data)
            _refuse_size(part.url, total, published)
            part.begin(_version(response.headers), total, hashes.of_server(response.headers))
        part.check_space()
        done = start
        with part.appending() as append:
            while data:
                append(data)
                done += len(data)
                report.progress(done, part.total)
                data = _read(response)
    part.ended()


def _read(response):
    # -> the next bytes, b"" at the end or where the connection was cut
    try:
        return response.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise Again(f"the connection was cut ({type(error).__name__})") from error


def _version(headers):
    """What identifies a file's version: its ETag if that is a strong one, else the date of its last change."""
    tag = headers.get("ETag", "")
    return headers.get("Last-Modified") if tag.startswith("W/") or not tag else tag


def _continues(response, part, start):
    """Whether an answer 206 is the rest of the version whose beginning is there."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    same_version = _version(response.headers) in (None, part.version)
    return bool(found) and int(found[1]) == start and same_version and _number(found[2]) in (None, part.total)


def _nothing_left(part, response):
    """416: the server's file ends where ours does, but was announced with another size, or it has changed."""
    has = response.headers.get("Content-Range", "").removeprefix("bytes */")
    announced, came = part.total, part.size
    part.forget()
    if _number(has) == came:
        return InputError(f"{part.url}: the server announced {announced:,} bytes, but has {came:,}; try another mirror")
    return Again("the file has changed on the server")


def _refuse_web_page(url, response, first):
    if first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"<":
        return
    where = urlsplit(response.url).hostname
    advice = f"does this network have a log-in page? open http://{where} in a browser, then give the command again"
    raise InputError(f"{url}: a web page came instead of the file; {advice}")


def _refuse_size(url, total, published):
    if total and published and abs(total - published) > ROUNDING * published:
        what = f"the server announces {total:,} bytes, the published file has about {published:,}"
        raise InputError(f"{url}: {what}; it is not that file, try another mirror")


def _number(text):
    return int(text) if text and text.isdecimal() else None
