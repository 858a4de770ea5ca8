"""What a file is by its content, and a name for it that no system misreads. What the sender says is never believed."""

import codecs
import re
import unicodedata

import filetype  # type: ignore[import-untyped]  # it ships no types

UNKNOWN = "application/octet-stream"

# Kinds that run when somebody opens them: no evidence for a complaint, and never handed to an agent.
PROGRAMS = frozenset(
    {
        "application/x-msdownload",
        "application/x-executable",
        "application/x-mach-binary",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/x-ms-shortcut",
        "application/x-google-chrome-extension",
        "application/x-shockwave-flash",
        "application/x-deb",
        "application/x-rpm",
        "application/wasm",
        "text/x-shellscript",
    }
)

_BINARY_SIGNS = (
    (b"MZ", "application/x-msdownload"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xca\xfe\xba\xbe", "application/x-mach-binary"),  # or Java's bytecode: a program as well
    (b"dex\n", "application/vnd.android.package-archive"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
)
_TEXT_SIGNS = (
    ("%PDF-", "application/pdf"),
    ("{\\rtf", "application/rtf"),
    ("%!PS", "application/postscript"),
    ("#!", "text/x-shellscript"),
)
_SVG = re.compile(r"<svg[\s>/]", re.IGNORECASE)
# as browsers decide (WHATWG MIME sniffing, 7.1), anywhere in the beginning
_HTML = re.compile(
    r"<(?:!doctype\s+html|html|head|body|script|iframe|title|table|style|meta|link|form|img|div|h1|font|a|br|p|b)[\s>/]",
    re.IGNORECASE,
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?=\.|$)", re.IGNORECASE)
_NAME_BYTES = 180  # of the 255 that file systems take, so that a prefix or " (2)" still fits


def sniff(head: bytes) -> str:
    """The media type of a file that begins with `head` (some thousand bytes), for storing, never for showing inline."""
    text = _as_text(head)
    if text is not None:
        return _sniff_text(text)
    for sign, kind in _BINARY_SIGNS:
        if head.startswith(sign):
            return kind
    guessed = filetype.guess_mime(head)
    if guessed == "application/zip":
        if b"AndroidManifest.xml" in head:
            return "application/vnd.android.package-archive"
        if b"META-INF/MANIFEST.MF" in head:
            return "application/java-archive"
    return guessed if isinstance(guessed, str) else UNKNOWN


def _as_text(head: bytes) -> str | None:
    if not head:
        return None
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if head.startswith(mark):
            return head[2:].decode(encoding, errors="replace")
    try:
        # the beginning may end within a letter
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _sniff_text(text: str) -> str:
    stripped = text.lstrip()
    for sign, kind in _TEXT_SIGNS:
        if stripped.startswith(sign):
            return kind
    if _SVG.search(text):
        return "image/svg+xml"
    if _HTML.search(text):
        return "text/html"
    return "application/xml" if stripped.startswith("<?xml") else "text/plain"


def safe_name(name: str, fallback: str = "archivo") -> str:
    """A file name from a stranger made harmless on every system, as readable as before. Idempotent.

    No folder, no control or direction signs (`gpj.exe` must not show as `exe.jpg`), no reserved names, no leading dot,
    not longer than 180 bytes; the ending stays.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    shown = "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in last)
    tidy = _trimmed(re.sub(r'[<>:"|?*]', "_", shown))
    if _RESERVED.match(tidy):
        tidy = f"_{tidy}"
    stem, dot, ending = tidy.rpartition(".")
    if not dot or len(ending.encode()) > 16:
        stem, dot, ending = tidy, "", ""
    room = _NAME_BYTES - len((dot + ending).encode())
    stem = _trimmed(stem.encode()[:room].decode(errors="ignore"))
    return (stem + dot + ending) if stem else fallback


def _trimmed(name: str) -> str:
    return re.sub(r"\s+", " ", name).strip(" .")
