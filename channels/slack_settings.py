"""The section of a Slack app in config.yaml."""

import re

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, SecretStr, field_validator, model_validator

_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,}")


class Settings(BaseModel):
    """The section of a Slack app in config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bot_token: SecretStr
    """xoxb-…"""
    app_token: SecretStr | None = None
    """xapp-…: Socket Mode, which needs no public address."""
    signing_secret: SecretStr | None = None
    """Without an app token: Slack calls {public_url}/webhooks/{account}."""
    api_base_url: AnyHttpUrl = AnyHttpUrl("https://slack.com/api/")
    agents_channel: str | None = None
    """The id (C…) of the private channel where agents work."""
    agents: dict[str, str] = {}
    """Slack user id → login, for agents whose login is not their e-mail."""
    open_channels: list[str] = []
    """Ids of channels where every message is meant for us; elsewhere people mention the app."""

    @field_validator("bot_token", "app_token", "signing_secret")
    @classmethod
    def _trimmed(cls, secret: SecretStr | None) -> SecretStr | None:
        return SecretStr(secret.get_secret_value().strip()) if secret and secret.get_secret_value().strip() else None

    @field_validator("agents_channel", "open_channels")
    @classmethod
    def _are_ids(cls, given: str | list[str] | None) -> str | list[str] | None:
        for one in [given] if isinstance(given, str) else given or []:
            if not _CHANNEL.fullmatch(one):
                raise ValueError("is not a channel's id; it stands at the bottom of the channel's details: C0123ABCD")
        return given

    @model_validator(mode="after")
    def _one_way_in(self) -> "Settings":
        if self.bot_token is None or not self.bot_token.get_secret_value().startswith("xoxb-"):
            raise ValueError("bot_token is not a bot token; it looks like xoxb-… (OAuth & Permissions)")
        if self.app_token is not None and not self.app_token.get_secret_value().startswith("xapp-"):
            raise ValueError("app_token is not an app-level token; it looks like xapp-… (Basic Information)")
        if self.app_token is None and self.signing_secret is None:
            raise ValueError("needs app_token (Socket Mode) or signing_secret (Slack calls us)")
        return self
