# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from monai_causal.apps.medfocus.vlm.answers import read_answer

DIRECT = [
    ("Yes", "yes"),
    ("Yes\n", "yes"),
    ("Yes.", "yes"),
    ("yes", "yes"),
    ("YES!", "yes"),
    ("**Yes**", "yes"),
    ('"Yes."', "yes"),
    ("No", "no"),
    ("No.\n", "no"),
    ("  no  ", "no"),
    ("**No.**", "no"),
    ("\\boxed{No}", "no"),
    ("Nope.", "no"),
    ("Yeah", "yes"),
    ("Positive.", "yes"),
    ("Negative", "no"),
    ("Not present.", "no"),
    ("Yes, there is evidence of pleural effusion in the image.", "yes"),
    ("No, there is no evidence of pleural effusion in the image.", "no"),
    ("No there is not.", "no"),
    ("No - the lungs are clear.", "no"),
    ("Yes \u2014 a small effusion is seen.", "yes"),
    ("Yes, the heart is enlarged, and there is no effusion.", "yes"),
    ("Yes, there is evidence of cardiomegaly but no pneumothorax.", "yes"),
    ("Yes, without a doubt there is evidence of consolidation.", "yes"),
    ("Yes, there is no doubt that the heart is enlarged.", "yes"),
    ("No, the opacity is not a nodule; the costophrenic angles are sharp.", "no"),
    ("Answer: Yes", "yes"),
    ("Answer: no.", "no"),
    ("Final answer: **No**", "no"),
    ("Answer with yes or no: No", "no"),
]

DECLARED = [
    ("The answer is no.", "no"),
    ("The answer is yes.", "yes"),
    ("The answer is: **Yes**", "yes"),
    ("So the answer is no", "no"),
    ("The answer is yes, not no.", "yes"),
    ("The answer is not yes.", "no"),
    ("The answer is no rather than yes.", "no"),
    ("The answer is not yes but no.", "no"),
    ("The correct answer to the question is therefore yes.", "yes"),
    ("I would say yes.", "yes"),
    ("I would answer no.", "no"),
    ("The answer is most likely yes.", "yes"),
    ("The answer should be no, because the costophrenic angles are sharp.", "no"),
]

CHAINS = [
    ("There is no fracture. There is no pneumothorax. The heart is enlarged. The answer is yes.", "yes"),
    ("No evidence of pneumothorax is seen. The cardiothoracic ratio is 0.55. Therefore, yes.", "yes"),
    ("The lungs are hyperinflated. Yes, the diaphragm is flat. However, there is no effusion. The answer is no.", "no"),
    ("1. Look at the angles: both are sharp.\n2. No meniscus is visible.\n\nFinal answer: No", "no"),
    ("The question asks for yes or no. The heart spans 60% of the chest. Yes.", "yes"),
    ("<think>Is there an effusion? No, the angle is sharp. Wait, the left one is blunted.</think> Yes", "yes"),
    ("Is the heart enlarged? Yes. Is the effusion large? No. Therefore, the answer is yes.", "yes"),
    ("Step 1: normal mediastinum. Step 2: a nodule is not seen. Step 3: Based on this, the answer is no.", "no"),
    ("The answer seems to be yes. Actually, no.", "no"),
    ("Let me think. The heart is normal. Therefore, there is no evidence of cardiomegaly.", "no"),
    ("There is evidence of rotation. In conclusion, there is no evidence of effusion.", "no"),
    ("The opacity in the left base obscures the diaphragm, so yes, there is evidence of effusion.", "yes"),
    ("No previous image is available. The right angle is blunted. Yes.", "yes"),
]

WITHOUT_THE_WORD = [
    ("There is no evidence of pleural effusion in the image.", "no"),
    ("There is evidence of cardiomegaly.", "yes"),
    ("No evidence of pneumothorax.", "no"),
    ("No cardiomegaly.", "no"),
    ("A pneumothorax is not seen.", "no"),
    ("The image does not show any sign of consolidation.", "no"),
    ("The film is negative for effusion.", "no"),
    ("Signs of pulmonary edema are clearly present.", "yes"),
]

UNCLEAR = [
    "",
    "\n",
    "Yes and no.",
    "Yes or no?",
    "Yes. No.",
    "Yes, no.",
    "No, yes.",
    "The answer is yes or no.",
    "Yes, there is no effusion.",
    "Yes. There is no evidence of effusion.",
    "No, there is evidence of pleural effusion.",
    "Maybe.",
    "Maybe yes.",
    "Possibly yes, possibly no.",
    "The answer could be yes.",
    "If the heart is enlarged the answer is yes, otherwise no.",
    "I cannot answer yes or no.",
    "It is not a clear yes.",
    "I am unable to determine whether there is an effusion.",
    "An effusion cannot be excluded.",
    "There may be evidence of a small effusion.",
    "The nodule is normal and not notable; now known.",
    "A nodule in the nose, noted in November.",
    "The heart is enlarged.",
    "Image No. 5 shows the chest.",
    "Effusion: no, cardiomegaly: yes.",
    "There is evidence of cardiomegaly. There is no evidence of effusion.",
    "The answer is yes. No.",
    "Is there evidence of pleural effusion in the image? Answer with yes or no.",
    "I'm sorry, but I can't help with medical images.",
]

# Written after the rules, to see how they do on what they were not made for: 67 of these 73 were right at first.
FURTHER = [
    ("Yes, cardiomegaly is present. No pleural effusion or pneumothorax.", "yes"),
    ("No pleural effusion is seen. The cardiac silhouette is enlarged, so yes.", "yes"),
    ("The chest X-ray shows no signs of pneumonia.", "no"),
    ("Based on the image, yes.", "yes"),
    ("no, i don't see any.", "no"),
    ("Yes, I can see a nodule.", "yes"),
    ("There isn't any evidence of edema.", "no"),
    ("I do not see evidence of effusion.", "no"),
    ("Evidence of effusion is not present.", "no"),
    ("Absolutely not.", "no"),
    ("It's a yes.", "yes"),
    ("My answer: no", "no"),
    ("Answer - yes", "yes"),
    ("<answer>yes</answer>", "yes"),
    ('{"answer": "no"}', "no"),
    ("The answer is **(B) No**", "no"),
    ("The patient has no effusion. Hence the answer is 'No'.", "no"),
    ("Conclusion: Yes, there's evidence of effusion.", "yes"),
    ("No abnormality is seen.", "no"),
    ("No significant abnormality. Yes.", "yes"),
    ("Yes\u2014no effusion", "unclear"),
    ("The answer is definitely not yes.", "no"),
    ("It would be incorrect to say yes.", "unclear"),
    ("Neither yes nor no", "unclear"),
    ("no yes", "unclear"),
    ("Yes Yes Yes", "yes"),
    ("Yes (no effusion).", "unclear"),
    ("Answer: there is no evidence of fracture.", "no"),
    ("The answer is no evidence of fracture", "no"),
    ("Is it present? I believe so, yes.", "yes"),
    ("I believe the answer is no, but further imaging may help.", "no"),
    ("There are no signs of pneumonia. However, there is evidence of effusion, so the answer is yes.", "yes"),
    ("The heart is not enlarged. So, no", "no"),
    ("The image does not provide sufficient information. Therefore I can't answer.", "unclear"),
    ("No, but a nodule is seen.", "no"),
    ("Yes. The heart is enlarged. No effusion is seen.", "yes"),
    (
        "Let's think step by step. First, examine the lungs: no consolidation. "
        "Second, the heart: enlarged. Yes, there is evidence of cardiomegaly.",
        "yes",
    ),
    (
        "Let's think step by step.\n1. Lungs: clear, no infiltrates.\n2. Pleura: no effusion.\n3. "
        "Heart: normal size.\n\nNo.",
        "no",
    ),
    ("Lungs: no nodules. Heart: no enlargement. Overall: Yes", "yes"),
    (
        "To determine if there is evidence of pneumonia we look for opacities. "
        "There are bilateral opacities. Therefore, there is evidence of pneumonia in the image. Yes.",
        "yes",
    ),
    ("To answer yes, we would need to see a meniscus. There is none. The answer is no.", "no"),
    ("The answer is no. There is evidence of cardiomegaly, though.", "unclear"),
    ("The final answer is $\\boxed{\\text{Yes}}$.", "yes"),
    ("There is no sign that would let me say no; the answer is yes.", "yes"),
    ("Yes, the finding is not subtle.", "yes"),
    ("No, not at all.", "no"),
    ("Not yes.", "unclear"),
    ("The right lung is normal and there is no nodule on the left.", "no"),
    ("Noted. Normal. None.", "unclear"),
    ("Yes, possibly.", "yes"),
    ("Probably yes.", "yes"),
    ("Likely no.", "no"),
    ("I'm not sure, but yes.", "yes"),
    ("Yes, but I am not certain.", "yes"),
    ("The image is not diagnostic, so I cannot say.", "unclear"),
    ("S\xed", "unclear"),
    ("No. The lungs are clear. There is no evidence of pleural effusion. The heart size is normal.", "no"),
    (
        "Yes, there is evidence of pleural effusion. "
        "The left costophrenic angle is blunted, which is not normal. There is no pneumothorax.",
        "yes",
    ),
    ("I see no effusion", "no"),
    ("There's no evidence of effusion.", "no"),
    ("There is, no doubt, evidence of effusion.", "yes"),
    ("**Reasoning:** the angle is sharp\n**Answer:** no", "no"),
    ("Answer:\nYes", "yes"),
    ("Final Answer:\n\nNo", "no"),
    ("The answer is:\n\nYes", "yes"),
    ("Yes/No: Yes", "yes"),
    ("(Yes)", "yes"),
    ("- No", "no"),
    ("Yes;", "yes"),
    ("A: No", "no"),
    ("no evidence of effusion, yes evidence of edema", "unclear"),
    ("I would not say that there is evidence of effusion.", "unclear"),
    ("It is not true that there is evidence of effusion", "unclear"),
]

TABLE = [*DIRECT, *DECLARED, *CHAINS, *WITHOUT_THE_WORD, *FURTHER, *((text, "unclear") for text in UNCLEAR)]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_reads(text: str, expected: str) -> None:
    assert read_answer(text) == expected


@pytest.mark.parametrize("dressing", ["{}", " {}\n\n", "**{}**", "\u201c{}\u201d", "<think></think>{}"])
@pytest.mark.parametrize(("text", "expected"), [*DECLARED, *CHAINS])
def test_mark_up_changes_nothing(text: str, expected: str, dressing: str) -> None:
    assert read_answer(dressing.format(text)) == expected


@pytest.mark.parametrize(("text", "expected"), [(text, expected) for text, expected in TABLE if "boxed" not in text])
def test_upper_case_changes_nothing(text: str, expected: str) -> None:
    assert read_answer(text.upper()) == expected


@pytest.mark.real
def test_all_answers_of_the_published_records(real_data: Path) -> None:
    file = real_data / "medground" / "direct.json"
    if not file.is_file():
        pytest.skip("no medground/direct.json in the real data")
    records = json.loads(file.read_text(encoding="utf-8"))
    asked = [key for key in records[0] if key == "answer" or key.startswith("prediction")]
    assert len(records) == 1880
    differing = {
        (record[key], read_answer(record[key]))
        for record in records
        for key in asked
        if read_answer(record[key]) != re.sub(r"\W", "", record[key]).lower()
    }
    assert not differing
