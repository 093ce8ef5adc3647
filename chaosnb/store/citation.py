"""How to cite a capture: in plain words, as BibTeX, and as ``CITATION.cff``."""

from __future__ import annotations

import json
import re
from typing import Final

from msgspec import Struct

from chaosnb.store.content import Content, versions
from chaosnb.text import printable

__all__ = ["Citation", "cited"]

_SPECIAL: Final = re.compile(r"[\\{}$&#%_^~]")
_SPECIALS: Final = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}


class Citation(Struct, frozen=True, kw_only=True):
    """What there is to cite.

    Attributes
    ----------
    title : str
    authors : tuple of str
        Who made the capture; where nobody is named, where it comes from.
    date : str or None
        The day of the last event's arrival.
    checksum : str
        SHA-256 of all that the tables hold, as 64 hex digits.
    note : str
        What kind of data it is, its time, and what made it.
    license : str or None
        Its SPDX name, or an address.
    """

    title: str
    authors: tuple[str, ...]
    date: str | None
    checksum: str
    note: str
    license: str | None = None

    @property
    def text(self) -> str:
        """The citation in plain words.

        Examples
        --------
        >>> Citation(title="Votes", authors=("Ada",), date="2026-11-23", checksum="ab", note="Real.").text
        'Ada (2026). Votes [Data set]. Real. SHA-256: ab.'
        """
        return (
            f"{'; '.join(self.authors)} ({self._year}). {self.title} [Data set]. {self.note} "
            f"SHA-256: {self.checksum}."
        )

    @property
    def bibtex(self) -> str:
        """The citation for a BibTeX file."""
        fields = {
            "title": f"{{{_tex(self.title)}}}",
            "author": " and ".join(f"{{{_tex(author)}}}" for author in self.authors),
            "year": self._year,
            "howpublished": "Data set",
            "note": f"{_tex(self.note)} SHA-256: {self.checksum}",
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@misc{{chaosnb-{self.checksum[:12]},", *lines, "}"])

    @property
    def cff(self) -> str:
        """The content of ``CITATION.cff``, in the Citation File Format 1.2.0."""
        lines = [
            "cff-version: 1.2.0",
            "message: If you use this data, please cite it as below.",
            "type: dataset",
            f"title: {_yaml(self.title)}",
            "authors:",
            *(f"  - name: {_yaml(author)}" for author in self.authors),
            f"abstract: {_yaml(self.note)}",
            "identifiers:",
            "  - type: other",
            f"    value: {_yaml(f'sha256:{self.checksum}')}",
            "    description: SHA-256 of what the tables hold, as chaosnb.store.checksum computes it",
        ]
        if self.date:
            lines.append(f"date-released: {_yaml(self.date)}")
        if self.license is not None:
            name = "license-url" if "://" in self.license else "license"
            lines.append(f"{name}: {_yaml(self.license)}")
        return "\n".join([*lines, ""])

    def __str__(self) -> str:
        return f"{self.text}\n\n{self.bibtex}"

    @property
    def _year(self) -> str:
        return self.date[:4] if self.date else "n.d."


def cited(content: Content) -> Citation:
    """Return the citation of a capture."""
    credits, span = content.credits, content.received
    simulated = "simulated " if content.simulated else ""
    when = f"received {span[0]} to {span[1]}" if span is not None else "none received"
    title = f"ChaosChain events from {content.source}{f', {content.date}' if content.date else ''}"
    return Citation(
        title=printable(credits.title or title),
        authors=tuple(map(printable, credits.authors or (f"Agents of a {simulated}ChaosChain node",))),
        date=content.date,
        checksum=content.checksum,
        note=(
            f"{simulated.capitalize()}{'data' if simulated else 'Data'}: {content.counts.events:,} events, "
            f"{when}, with chaosnb {versions()['chaosnb']}."
        ),
        license=credits.license,
    )


def _tex(text: str) -> str:
    return _SPECIAL.sub(lambda match: _SPECIALS.get(match[0], f"\\{match[0]}"), text)


def _yaml(text: str) -> str:
    # JSON's strings are YAML's.
    return json.dumps(text, ensure_ascii=False)
