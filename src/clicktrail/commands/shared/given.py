"""What the command line says of the settings."""

from dataclasses import dataclass, field
from pathlib import Path

from clicktrail.base.redact import hide, hide_login
from clicktrail.settings.settings import Settings, load_settings
from clicktrail.settings.table import SETTINGS


@dataclass
class Given:
    """What the command line said of the settings."""

    flags: dict[str, str] = field(default_factory=dict)
    file: Path | None = None

    def settings(self) -> Settings:
        """Return the settings in force. From now on no log line or error holds their secrets."""
        settings = load_settings(self.flags, file=self.file)
        hide_secrets(settings)
        return settings


def hide_secrets(settings: Settings) -> None:
    """Let nothing that this process tells hold a secret of the settings."""
    for setting in SETTINGS:
        text = settings.text(setting.name).strip()
        hide_login(text)
        if setting.secret and "://" not in text:
            user = setting.name.rpartition(".")[0] + ".username"
            known = any(each.name == user for each in SETTINGS)
            hide(text, user=settings.text(user) if known else "")
