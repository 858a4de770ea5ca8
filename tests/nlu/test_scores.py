"""The figures themselves, on cases that can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from nlu.train_calibrate import alarm_threshold, severity_lean, sure_threshold
from nlu.train_data import Example
from nlu.train_scores import Prediction, at_coverage, ece, macro_f1, summary

ONE = Example(
    id="1", text="x", language="es", type="queja", second=None, severity="low", act="report", human_now=False,
    scenario="1",
)  # fmt: skip


def test_macro_f1_is_the_plain_mean_of_the_classes_that_occur() -> None:
    assert macro_f1(["a", "a", "b"], ["a", "b", "b"]) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert macro_f1(["a", "a"], ["a", "c"]) == pytest.approx(2 / 3)


def test_a_second_type_counts_as_right_and_severity_one_step_off_is_within_one() -> None:
    examples = [replace(ONE, second="reclamo", severity="critical", human_now=True), replace(ONE, type="otro")]
    p = {
        "type": np.eye(6)[[2, 5]],  # reclamo, otro
        "severity": np.eye(4)[[2, 2]],  # high, high
        "act": np.eye(11)[[0, 1]],
    }
    found = summary(examples, Prediction(p, np.array([True, True])))
    assert found["type"]["macro_f1"] == found["type"]["accuracy"] == 1.0
    assert found["severity"]["within_one"] == 0.5  # critical → high is; low → high is not
    assert found["severity"]["high_or_critical_recall"] == 1.0
    assert (found["human_now"]["precision"], found["human_now"]["recall"]) == (0.5, 1.0)


def test_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    confidence = np.full(100, 0.8)
    assert ece(confidence, np.array([True] * 80 + [False] * 20), bins=1) == pytest.approx(0.0)
    assert ece(confidence, np.array([True] * 50 + [False] * 50), bins=1) == pytest.approx(0.3)


def test_accuracy_at_coverage_takes_the_surest_first() -> None:
    confidence = np.linspace(1, 0, 100)
    right = np.array([True] * 85 + [False] * 15)
    assert at_coverage(confidence, right) == {"100": 0.85, "85": 1.0, "70": 1.0}


def test_the_alarm_threshold_keeps_nineteen_of_twenty_alarms() -> None:
    p = np.concatenate([np.linspace(0.2, 0.39, 20), np.full(20, 0.01)])
    alarm = np.array([True] * 20 + [False] * 20)
    assert (p[alarm] >= alarm_threshold(p, alarm)).mean() >= 0.95
    assert alarm_threshold(np.full(20, 0.9), np.array([True] * 20)) == 0.5


def test_recall_of_alarms_is_not_bought_with_noise_without_end() -> None:
    p = np.concatenate([np.full(9, 0.9), [0.05], np.full(90, 0.05)])
    alarm = np.array([True] * 10 + [False] * 90)
    assert alarm_threshold(p, alarm) == 0.5  # the tenth alarm would cost ninety false ones


def test_critical_messages_call_a_person_whatever_the_threshold() -> None:
    p, alarm = np.array([0.9, 0.03, 0.2]), np.array([True, True, False])
    assert alarm_threshold(p, alarm, critical=np.array([False, True, False])) == 0.5


def test_severity_leans_to_the_grave_side_only_as_far_as_it_must() -> None:
    sure = np.eye(4)[[0, 1, 2, 3] * 10] * 8
    truth = np.array([0, 1, 2, 3] * 10)
    assert (sure + np.array(severity_lean(sure, truth))).argmax(1).tolist() == truth.tolist()
    timid = sure.copy()
    timid[truth == 2] = [0, 1.5, 1.0, 0]  # high looks medium, a little
    assert ((timid + np.array(severity_lean(timid, truth))).argmax(1)[truth == 2] == 2).all()


def test_a_type_is_sure_as_long_as_ninety_two_of_a_hundred_are_right() -> None:
    confidence = np.linspace(1, 0, 100)
    assert sure_threshold(confidence, np.array([True] * 90 + [False] * 10)) == pytest.approx(confidence[96], abs=1e-3)
    assert sure_threshold(confidence, np.zeros(100, bool)) == pytest.approx(confidence[59], abs=1e-3)
