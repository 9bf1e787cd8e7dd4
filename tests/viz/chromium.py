"""A headless Chromium to drive pages with, over the DevTools protocol: https://chromedevtools.github.io/devtools-protocol.

The protocol runs over two pipes (--remote-debugging-pipe): JSON messages that end in a zero byte, on file descriptors
3 (to the browser) and 4 (from it).  No port, no driver, no package.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

COMMAND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb", "--disable-lcd-text"),
    "--disable-features=IsolateSandboxedIframes,PaintHolding",  # frames stay in the process of their page
)
PATIENCE = 30  # seconds until a silent browser is an error


class Chromium:
    """One tab.  `events` are the protocol's since the last `open`; `requests` and `complaints` are among them."""

    def __init__(self, profile):
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        # above 9, so that taking 3 and 4 in the child overwrites neither
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (to_browser, from_browser)]

        def take_3_and_4():
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        self._process = subprocess.Popen(
            [COMMAND, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=take_3_and_4, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for end in (to_browser, from_browser, *theirs):
            os.close(end)
        self._buffer, self._count, self._session, self.events = b"", 0, None, []
        tab = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def close(self):
        os.close(self._to)  # the browser ends with its pipe
        self._process.wait(PATIENCE)
        os.close(self._from)

    def send(self, method, **params):
        """The result of one command of the protocol; events that come first are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._count:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self):
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], PATIENCE)[0]:
                raise TimeoutError(f"Chromium said nothing for {PATIENCE} s")
            self._buffer += os.read(self._from, 1 << 20)
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, url, ready="document.documentElement?.dataset.ready"):
        """Load a page in a fresh document and wait until the expression is true."""
        self.send("Page.navigate", url="about:blank")
        self.events.clear()
        self.send("Page.navigate", url=url)
        self.until(ready)

    def until(self, expression, world=None):
        end = time.monotonic() + PATIENCE
        while not self.js(expression, world):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {expression}; {self.complaints()}")
            time.sleep(0.02)

    def js(self, expression, world=None):
        """The value of a JavaScript expression in the page, or in one of its frames; promises are awaited."""
        where = {"contextId": world} if world else {}
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, **where)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def complaints(self):
        """Console errors and warnings, uncaught exceptions, blocked or failed requests."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Network.loadingFailed")
        return [event for event in self.events if event.get("method") in kinds]

    def requests(self):
        """Addresses that were asked for, other than the data: addresses inside the page."""
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith("data:")]

    def window(self, width, height, scale=1, mobile=False):
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def prefer(self, scheme):
        """light or dark."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def mouse(self, kind, x, y):
        """kind: mouseMoved, mousePressed or mouseReleased, with the left button."""
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def click(self, selector):
        """A real click in the middle of an element."""
        x, y = self.middle(selector)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y)

    def tap(self, x, y):
        """A finger that touches and lifts."""
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def middle(self, selector, right=0.5, down=0.5):
        """The point of an element at those shares of its width and height, in the window, after scrolling to it."""
        return self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            f" return [b.x + {right} * b.width, b.y + {down} * b.height]; }})()"
        )

    def key(self, key, shift=False):
        code = {" ": 32, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if len(key) == 1 and kind == "keyDown" else {}
            event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
            self.send("Input.dispatchKeyEvent", type=kind, **event, **text)

    def screenshot(self, path, whole=True):
        """A PNG of the window, or of the whole page."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))
