"""The deployment's prices and its cap, as settings say them."""

from decimal import Decimal
from typing import Final

from domain.sms import read_prices
from messaging.money import MoneyCap
from server.settings import Settings

#: A minute of a call without a price of its own, in millionths: above what calls to French mobile
#: telephones cost.
UNPRICED_CALL: Final = 100_000


def cap_of(settings: Settings) -> int:
    """What a tenant may spend on a day, in millionths of the currency."""
    return int(Decimal(str(settings.daily_spend_cap)) * 1_000_000)


def money_cap(settings: Settings) -> MoneyCap:
    """The last look at a text's price."""
    return MoneyCap(read_prices(settings.sms_prices), cap_of(settings))
