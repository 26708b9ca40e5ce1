"""The smarthost of the settings as a next hop, with the login to it."""

from __future__ import annotations

import os

from requiretls_plugin.errors import SettingsError
from requiretls_plugin.policy.next_hop import Login, NamedHop
from requiretls_plugin.settings import DeliverySettings
from requiretls_plugin.settings_files import PASSWORD_VARIABLE


def smarthost_hop(settings: DeliverySettings) -> NamedHop | None:
    """Return the hop to the smarthost, None if the settings name none.

    The password is read now, from its file or the environment; raises
    SettingsError if there is none for the user.
    """
    if settings.smarthost is None:
        return None
    return NamedHop(settings.smarthost, login=_login(settings))


def _login(settings: DeliverySettings) -> Login | None:
    if settings.smarthost_user is None:
        return None
    password = _password(settings)
    if not password:
        problem = (
            f"no password for {settings.smarthost_user}: write it to the file, or to ${PASSWORD_VARIABLE}"
        )
        raise SettingsError("delivery.smarthost_password_file", [problem])
    return Login(settings.smarthost_user, password)


def _password(settings: DeliverySettings) -> str:
    file = settings.smarthost_password_file
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE, "")
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].removesuffix("\r")
    except OSError as error:
        raise SettingsError("delivery.smarthost_password_file", [f"{file}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SettingsError("delivery.smarthost_password_file", [f"{file}: is not UTF-8"]) from None
