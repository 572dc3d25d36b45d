# SPDX-License-Identifier: Apache-2.0
"""Reading ``yes`` or ``no`` out of what a model said, and nothing where it said neither or both.

A word-list search finds a "no" in "yes, with no effusion" and both words in a chain of thought that repeats its
question. So a text is read as statements, strongest first:

1. a declared answer: "the answer is no", "final answer: yes"; the last one counts;
2. a verdict, the word standing for itself: "No.", "so yes", but not the "no" of "no effusion", nor "yes or no";
3. where neither is there, what is said about evidence: "There is no evidence of ...".

A conclusion outweighs what stands before it. A verdict that the very next clause denies ("Yes, there is no
effusion"), a guess ("maybe yes"), two answers, or an answer that would have to be guessed from the findings is
``unclear``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

__all__ = ["Reading", "read_answer"]

Reading = Literal["yes", "no", "unclear"]

_WHOLE: dict[str, Reading] = {
    **dict.fromkeys(("yes", "yep", "yeah", "yup", "affirmative", "positive", "present", "true", "correct", "y"), "yes"),
    **dict.fromkeys(("no", "nope", "nah", "negative", "absent", "not present", "none", "false", "n"), "no"),
    **dict.fromkeys(("absolutely", "certainly", "definitely", "of course"), "yes"),
    **dict.fromkeys(("absolutely not", "certainly not", "definitely not", "not at all", "of course not"), "no"),
}
"""Answers that say yes or no only where nothing else is said."""

_NUMBER = r"\b(image|figure|fig|case|patient|film|view|series|study|examination|exam)\s+no\.\s*(?=\d)"
_IDIOMS = (
    r"\bno (?:doubt|question)\b|\bwithout (?:any |a )?doubt\b|\bno longer\b|\bnot only\b|\bno (?:more|less) than\b"
)
_BOTH = r"""["']?\b(?:yes["']?\s*(?:/|or|and|nor)\s*["']?no|no["']?\s*(?:/|or|and|nor)\s*["']?yes)\b["']?"""
_CONTRAST = r"\b(yes|no)\b,?\s+(?:and |but )?(?:not|rather than|instead of|as opposed to)\s+(?:an? )?(?:yes|no)\b"
_CORRECTED = r"\bnot\s+(?:yes|no),?\s+but\s+(?:rather\s+)?(yes|no)\b"

# "no" stands for itself before a pause or the beginning of a sentence, and is a determiner before anything else.
_VERDICT = re.compile(
    r"\b(?:(?P<yes>yes)|(?P<no>no)(?=\s*(?:$|[.,;:!?)\]]|[-\u2013\u2014]\s|"
    r"(?:there|it|this|that|these|the|i|we|because|since|but|based|yes|no)\b)))"
)
_DECLARED = re.compile(
    r"\b(?:(?:answer|conclusion|verdict|response)\b(?: to (?:the|this|your) question| here)?\s*"
    r"(?:(?:is|was|would be|should be|must be|remains|has to be|=|:|-)\s*)+"
    r"(?:(?:therefore|thus|clearly|definitely|probably|most likely|likely|simply|just|an?|definite|clear)[:,]?\s+)*"
    r"(?P<negated>not\s+)?(?:an?\s+)?"
    r"|\b(?:i|we)(?:'d|'ll| would| will| must| can| do)?\s+(?:therefore\s+)?(?:answer|say|conclude)"
    r"\s*(?:with|that|:)?\s*"
    r"|^\s*answer\s+)$"
)
_CONCLUDING = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|accordingly|overall|finally|final|conclude|conclusion|summary|"
    r"as a result|based on)\b"
)
_CORRECTING = re.compile(r"\b(?:actually|wait|correction|sorry|second thought|rather)\b")
_GUESS = re.compile(
    r"\b(?:maybe|perhaps|possibly|might|may|could|if|unless|otherwise|whether|neither|nor|wouldn't|not say|"
    r"incorrect|wrong)\b"
    r"|\bnot (?:a |an )?(?:clear|simple|definite|straightforward)\b"
)
_UNABLE = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't) (?:be )?(?:sure|certain|determined?|tell|told|say|answer(?:ed)?|"
    r"assess(?:ed)?|evaluated?|concluded?|definitively)\b"
    r"|\b(?:unable|not able|not possible|impossible|difficult|hard) to\b"
    r"|\b(?:not sure|unsure|uncertain|not certain|insufficient|inconclusive|indeterminate|equivocal|unclear)\b"
)
_HEDGED = re.compile(
    r"\b(?:may|might|could|possible|possibly|perhaps|maybe|questionable|equivocal|whether|if)\b"
    r"|\b(?:cannot|can't|could not|not) (?:be )?(?:excluded?|ruled? out|entirely excluded)\b"
    r"|(?:\bnot|n't) (?:say|true|think|believe)\b"
)

_SIGN = r"(?:evidence|signs?|indications?|suggestion|findings?)"
_SHOWN = r"(?:present|seen|visible|evident|identified|observed|detected|noted|appreciated|demonstrated)"
_DENIED = re.compile(
    rf"\bno (?:\w+[ -]){{0,4}}?{_SIGN}\b"
    r"|\bthere (?:is|are|was|were|appears? to be|seems? to be) (?:no|not)\b|\bthere (?:isn't|aren't|wasn't|weren't)\b"
    rf"|\b(?:is|are|was|were)(?: not|n't) (?:\w+ )?{_SHOWN}\b|\bno\b[^,;:]*\b(?:is|are|was|were) {_SHOWN}\b"
    r"|\b(?:do|does|did)(?: not|n't) (?:\w+ )?(?:show|see|find|demonstrate|reveal|contain|have|"
    r"indicate|suggest|exhibit)\b"
    r"|\b(?:see|find|found|shows?|demonstrates?|reveals?|has|have) no\b"
    r"|\b(?:cannot|can't) (?:see|find|identify|detect)\b"
    r"|\babsence of\b|\b(?:is|are) absent\b|\bnegative for\b|\bfree of\b|^\s*no\s+\w+"
)
_AFFIRMED = re.compile(rf"\b{_SIGN} (?:of|for|suggest\w*|consistent|compatible)\b|\b(?:is|are) (?:\w+ )?present\b")


@dataclass(frozen=True)
class _Verdict:
    value: Reading
    sentence: int
    declared: bool
    concluding: bool
    correcting: bool
    leading: bool


def read_answer(text: str) -> Reading:
    """``"yes"``, ``"no"`` or ``"unclear"``.

    Args:
        text: a model's answer, direct or after a chain of thought.

    Example:
        >>> read_answer("There is no fracture. The heart is enlarged. So the answer is yes.")
        'yes'
        >>> read_answer("A nodule is not seen on this normal film.")
        'no'
    """
    plain = _plain(text)
    whole = re.sub(r"[^a-z ]+", " ", plain).strip()
    if whole in _WHOLE:
        return _WHOLE[whole]
    sentences = [part.strip() for part in re.split(r"(?<=[.!?;])\s+|\n+", plain) if part.strip()]
    verdicts = [verdict for index in range(len(sentences)) for verdict in _verdicts(sentences, index)]
    return _decided(verdicts) if verdicts else _evidence(sentences)


def _plain(text: str) -> str:
    """Lower case, without mark-up, and without the phrases in which yes and no answer nothing."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'").replace("\u2018", "'")
    plain = re.sub(r"\\(?:boxed|text|textbf|mathrm)\b|</?\w+>", " ", plain)
    plain = re.sub(r"""[*_#`"\u201c\u201d{}\[\]$\\]|(?<!\w)'|'(?!\w)""", " ", plain)
    plain = re.sub(_NUMBER, r"\1 ", plain)
    plain = re.sub(rf"{_IDIOMS}|{_BOTH}", " ", plain)
    plain = re.sub(_CORRECTED, r"\1", plain)
    return re.sub(_CONTRAST, r"\1", plain)


def _verdicts(sentences: list[str], index: int) -> list[_Verdict]:
    """The verdicts of one sentence; a question has none."""
    sentence = sentences[index]
    if sentence.endswith("?"):
        return []
    found = []
    for match in _VERDICT.finditer(sentence):
        value: Reading = "yes" if match["yes"] else "no"
        before = sentence[: match.start()]
        clause = re.split(r"[,;:]|\bbut\b", before)[-1]
        declared = _DECLARED.search(before)
        if declared and declared["negated"]:
            value = "no" if value == "yes" else "yes"
        concluding, correcting = (bool(pattern.search(before)) for pattern in (_CONCLUDING, _CORRECTING))
        following = _following(sentences, index, match.end())
        if not declared and (re.search(r"\bnot\s*$", before) or (not concluding and _denies(value, before))):
            value = "unclear"  # "not yes"; "no evidence of effusion, yes"
        if _GUESS.search(clause) or _UNABLE.search(clause) or _UNABLE.search(following) or _denies(value, following):
            value = "unclear"
        found.append(_Verdict(value, index, declared is not None, concluding, correcting, not before.strip(" ,:-")))
    return found


def _following(sentences: list[str], index: int, end: int) -> str:
    """The clause after a verdict: what is left of its sentence, or else the next sentence, up to the next pause."""
    rest = sentences[index][end:].strip(" .,;:!-\u2013\u2014()")
    if not rest and index + 1 < len(sentences):
        rest = sentences[index + 1]
    return re.split(r"[,;:]|\b(?:but|however|although|though|while|and)\b", rest)[0]


def _denies(value: Reading, clause: str) -> bool:
    if _DENIED.search(clause):
        return value == "yes"
    return value == "no" and bool(_AFFIRMED.search(clause))


def _decided(verdicts: list[_Verdict]) -> Reading:
    declared = [verdict for verdict in verdicts if verdict.declared]
    concluding = [verdict for verdict in verdicts if verdict.concluding or verdict.correcting]
    deciding = (declared or concluding or verdicts)[-1]
    # What is corrected or concluded later stands against an earlier answer; what merely says otherwise makes it
    # unclear.
    later = [verdict for verdict in verdicts if verdict.sentence > deciding.sentence]
    if later and (later[-1].correcting or later[-1].concluding):
        deciding, later = later[-1], []
    same = [verdict for verdict in verdicts if verdict.sentence == deciding.sentence]
    against = same + [verdict for verdict in later if verdict.leading]
    if not (deciding.declared or deciding.concluding or deciding.correcting):
        # The last word of a chain of thought decides, but an answer given at once is not taken back by it.
        against += [verdict for verdict in verdicts if verdict.sentence == 0 and verdict.leading]
    if any(verdict.value != deciding.value for verdict in against):
        return "unclear"
    return deciding.value


def _evidence(sentences: list[str]) -> Reading:
    """What sentences without a verdict say about evidence, if they agree or one of them concludes."""
    said: list[tuple[Reading, bool]] = []
    for sentence in sentences:
        if sentence.endswith("?"):
            continue
        denied, affirmed = _DENIED.search(sentence), _AFFIRMED.search(sentence)
        if not denied and not affirmed:
            continue
        hedged = _HEDGED.search(sentence) or _UNABLE.search(sentence)
        value: Reading = "unclear" if hedged else "no" if denied else "yes"
        said.append((value, bool(_CONCLUDING.search(sentence))))
    concluded = [value for value, concludes in said if concludes]
    if concluded:
        return concluded[-1]
    values = {value for value, _ in said}
    return values.pop() if len(values) == 1 else "unclear"
