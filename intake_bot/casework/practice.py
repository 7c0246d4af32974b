"""How this authority works, as casework needs to know it: made once from the settings, handed to every function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.letters import Letters
from intake_bot.casework.plan import ReminderPlan
from intake_bot.casework.targets import Rule
from storage.vault import Vault

TRIAGE = "triage"
ONE_MONTH = "one_month"

ACKNOWLEDGEMENT_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Practice:
    """Rules, calendar, wording and the vault."""

    vault: Vault
    calendar: WorkingCalendar
    rules: Mapping[str, Rule]
    plans: Mapping[str, ReminderPlan]
    letters: Letters
    reference_prefix: str
    address: str
    """The service's own mail address; a case's reply address is its +tag form."""
    acknowledgements_per_address: int
    acknowledgements_same_words: int

    def reply_address(self, reply_tag: str) -> str:
        local, _, domain = self.address.rpartition("@")
        return f"{local}+{reply_tag}@{domain}"

    def reply_tag_of(self, recipient: str) -> str | None:
        """The tag in one of our reply addresses, or None for any other address."""
        local, _, domain = recipient.rpartition("@")
        ours, _, our_domain = self.address.rpartition("@")
        if domain.lower() != our_domain.lower():
            return None
        base, plus, tag = local.partition("+")
        return tag.lower() if plus and base.lower() == ours.lower() and tag else None

    def address_key(self, address: str) -> str:
        """Matches an address without keeping it readable. Case is ignored: schools type it either way."""
        return self.vault.blind("address", address.strip().lower())

    def mail_key(self, message_id: str) -> str:
        """Matches a Message-ID, punctuation and all."""
        return self.vault.blind("message-id", message_id)
