"""The conversation as a pure function: no clock, no random, no input or output."""

from bot.dialogue import closing, lookups, merging, people, reach, survey
from bot.dialogue.effects import Effect
from bot.dialogue.events import (
    AgentGaveBack,
    AgentSpoke,
    AgentTook,
    CaseFound,
    CaseNotFound,
    CasesMerged,
    CasesParted,
    ChannelLinked,
    CodeFailed,
    CodeVerified,
    Event,
    LinkOpened,
    LinkOver,
    PhoneShared,
    Said,
    SilenceDay,
    SolutionAnnounced,
    StateChanged,
    StatusLimited,
    SurveyDue,
)
from bot.dialogue.reply import Reply
from bot.dialogue.said import said
from bot.dialogue.state import State


def step(state: State, event: Event) -> tuple[State, tuple[Effect, ...]]:
    """What becomes of the conversation, and what is to be done, in order.

    AskStatus and VerifyCode are answered by the caller in the same turn: it calls `step` again with the answer and the
    state that came out, and appends the effects.
    """
    reply = Reply(state)
    match event:
        case Said():
            said(reply, event)
        case AgentTook():
            people.took(reply, event)
        case AgentSpoke():
            people.spoke(reply)
        case AgentGaveBack():
            people.gave_back(reply, event)
        case StateChanged():
            closing.changed(reply, event)
        case SolutionAnnounced():
            closing.announced(reply, event)
        case CasesMerged():
            merging.merged(reply, event)
        case CasesParted():
            merging.parted(reply, event)
        case SurveyDue():
            survey.due(reply, event)
        case SilenceDay():
            closing.silent(reply, event)
        case CodeVerified():
            reach.verified(reply, event)
        case CodeFailed():
            reach.failed(reply, event)
        case ChannelLinked():
            reach.linked(reply, event)
        case LinkOpened():
            reach.opened(reply, event)
        case LinkOver():
            reach.link_over(reply)
        case PhoneShared():
            reach.shared(reply, event)
        case CaseFound():
            lookups.found(reply, event)
        case CaseNotFound():
            lookups.not_found(reply)
        case StatusLimited():
            lookups.limited(reply)
    return reply.state, tuple(reply.effects)
