"""What the public pages say, in the languages that they speak."""

from collections.abc import Mapping

USUAL = "en"
"""For readers of none of the others."""

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "not-found": "This link does not work",
        "not-found-why": "Part of it may have been lost when it was copied.",
        "not-found-do": "Please open the email again, and click the link there.",
        "blocked": "This link was blocked",
        "unsubscribe": "Unsubscribe?",
        "unsubscribe-then": "You will get no more of these emails.",
        "unsubscribe-do": "Unsubscribe",
        "unsubscribed": "You are unsubscribed",
        "not-unsubscribed": "You could not be unsubscribed",
        "not-unsubscribed-do": "Please try again in a few minutes.",
        "home": "To the home page",
    },
    "ru": {
        "not-found": "Эта ссылка не работает",
        "not-found-why": "Возможно, при копировании потерялась её часть.",
        "not-found-do": "Откройте письмо ещё раз и нажмите на ссылку в нём.",
        "blocked": "Эта ссылка заблокирована",
        "unsubscribe": "Отписаться?",
        "unsubscribe-then": "Вы больше не будете получать такие письма.",
        "unsubscribe-do": "Отписаться",
        "unsubscribed": "Вы отписаны",
        "not-unsubscribed": "Отписать вас не удалось",
        "not-unsubscribed-do": "Попробуйте ещё раз через несколько минут.",
        "home": "На главную страницу",
    },
    "de": {
        "not-found": "Dieser Link funktioniert nicht",
        "not-found-why": "Beim Kopieren ist vielleicht ein Teil verloren gegangen.",
        "not-found-do": "Öffnen Sie die E-Mail noch einmal, und klicken Sie dort auf den Link.",
        "blocked": "Dieser Link wurde gesperrt",
        "unsubscribe": "Abmelden?",
        "unsubscribe-then": "Sie bekommen keine solchen E-Mails mehr.",
        "unsubscribe-do": "Abmelden",
        "unsubscribed": "Sie sind abgemeldet",
        "not-unsubscribed": "Das Abmelden hat nicht geklappt",
        "not-unsubscribed-do": "Bitte versuchen Sie es in ein paar Minuten noch einmal.",
        "home": "Zur Startseite",
    },
    "fr": {
        "not-found": "Ce lien ne fonctionne pas",
        "not-found-why": "Une partie a peut-être été perdue lors de la copie.",
        "not-found-do": "Veuillez rouvrir l’e-mail et cliquer sur le lien qui s’y trouve.",
        "blocked": "Ce lien a été bloqué",
        "unsubscribe": "Se désinscrire ?",
        "unsubscribe-then": "Vous ne recevrez plus ces e-mails.",
        "unsubscribe-do": "Se désinscrire",
        "unsubscribed": "Votre désinscription est enregistrée",
        "not-unsubscribed": "La désinscription n’a pas fonctionné",
        "not-unsubscribed-do": "Veuillez réessayer dans quelques minutes.",
        "home": "Vers la page d’accueil",
    },
    "es": {
        "not-found": "Este enlace no funciona",
        "not-found-why": "Puede que se haya perdido una parte al copiarlo.",
        "not-found-do": "Abra de nuevo el correo y haga clic en el enlace.",
        "blocked": "Este enlace ha sido bloqueado",
        "unsubscribe": "¿Darse de baja?",
        "unsubscribe-then": "No recibirá más correos como este.",
        "unsubscribe-do": "Darse de baja",
        "unsubscribed": "Se ha dado de baja",
        "not-unsubscribed": "No se le pudo dar de baja",
        "not-unsubscribed-do": "Inténtelo de nuevo en unos minutos.",
        "home": "Ir a la página de inicio",
    },
}
"""By language (primary subtag) and name. Plain text: it is escaped where it stands."""
