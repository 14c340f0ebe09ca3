"""What every sink can be told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sightline.devices.link import Backoff


class SinkSettings(BaseModel):
    """Settings that all sinks share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("sink", min_length=1, max_length=64, description="what messages call it")
    backoff: Backoff = Field(Backoff.model_validate({}), description="pauses between attempts to connect or to deliver")
