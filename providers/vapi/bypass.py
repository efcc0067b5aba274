"""Calls that the carrier connects to Vapi by itself (`voice.ports.BypassCalls`)."""

from typing import Any, Final

from providers.vapi.assistant import SERVER_MESSAGES
from providers.vapi.messages import overrides
from providers.vapi.rest import VapiAccount
from voice.ports import AgentSpec, BypassCall

#: We hear nothing there: what is said we know from these alone.
HEARD: Final = 'transcript[transcriptType="final"]'


class VapiBypass:
    """Over one account. `phone_number_id`: of the number imported into Vapi, which the bypass asks
    for (vapi-openai-pinecone.md §1.6)."""

    def __init__(self, account: VapiAccount, phone_number_id: str) -> None:
        self._account = account
        self._phone_number_id = phone_number_id

    async def open(self, spec: AgentSpec) -> BypassCall:
        """One call with the tenant's assistant. Raises ProviderError."""
        assert spec.assistant_id is not None, "asked for tenants that have one"
        assert spec.call is not None, "of a call"
        laid_over: dict[str, Any] = overrides(spec)
        laid_over.pop("clientMessages", None)  # no client listens
        laid_over["serverMessages"] = [*SERVER_MESSAGES, HEARD]
        call = await self._account.create_bypass_call(
            spec.assistant_id,
            self._phone_number_id,
            customer_number=spec.call.caller_number,
            overrides=laid_over,
        )
        assert call.twiml is not None, "creation has seen to it"
        return BypassCall(call.id, call.twiml)

    async def ended(self, call_id: str) -> str | None:
        """Why it ended, "" if Vapi doesn't say; None while it lasts. Raises ProviderError."""
        call = await self._account.get_call(call_id)
        if call is None:
            return ""
        return call.ended_reason if call.status == "ended" else None
