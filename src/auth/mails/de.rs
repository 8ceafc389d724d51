//! What mails say in German.

use super::{Texts, Words};
use crate::tenants::MailKind;

pub(super) const TEXTS: Texts = Texts {
    or_code: "Oder geben Sie diesen Code ein:",
    only_code: "Ihr Code:",
    not_asked: "Wenn Sie das nicht angefordert haben, brauchen Sie nichts zu tun: Es geschieht nichts.",
    not_you: "Wenn Sie das nicht waren, wählen Sie sofort ein neues Passwort und sagen Sie es dem Betreiber der App.",
    mails,
};

fn mails(kind: MailKind) -> Words {
    match kind {
        MailKind::Confirmation => Words(
            "Bestätigen Sie Ihre E-Mail-Adresse",
            "Jemand, hoffentlich Sie, hat mit {{ email }} ein Konto angelegt. Bestätigen Sie, dass die Adresse Ihnen gehört.",
            "Adresse bestätigen",
        ),
        MailKind::Invite => Words(
            "Sie sind eingeladen",
            "Für {{ email }} wurde ein Konto angelegt. Nehmen Sie die Einladung an, um es zu benutzen.",
            "Einladung annehmen",
        ),
        MailKind::MagicLink => Words("Anmelden", "Hier ist der Link, der Sie anmeldet. Er gilt einmal.", "Anmelden"),
        MailKind::Recovery => Words(
            "Wählen Sie ein neues Passwort",
            "Sie haben angegeben, Ihr Passwort verloren zu haben. Dieser Link meldet Sie einmal an, damit Sie ein neues wählen können.",
            "Neues Passwort wählen",
        ),
        MailKind::EmailChange => Words(
            "Bestätigen Sie Ihre neue E-Mail-Adresse",
            "Ihr Konto soll die Adresse {{ new_email }}{% if email %} statt {{ email }}{% endif %} bekommen. Bestätigen Sie, dass die neue Adresse Ihnen gehört.",
            "Neue Adresse bestätigen",
        ),
        MailKind::EmailChangeCurrent => Words(
            "Stimmen Sie Ihrer neuen E-Mail-Adresse zu",
            "Ihr Konto soll die Adresse {{ new_email }} statt {{ email }} bekommen. Wenn Sie das möchten, stimmen Sie zu.",
            "Zustimmen",
        ),
        MailKind::Reauthentication => Words("Ihr Code", "Geben Sie diesen Code ein, um zu zeigen, dass Sie es sind.", ""),
        MailKind::AccountExists => Words(
            "Sie haben schon ein Konto",
            "Jemand, vielleicht Sie, wollte mit {{ email }} ein Konto anlegen. Es gibt schon eines: Melden Sie sich damit an, oder fordern Sie ein neues Passwort an, wenn Sie Ihres verloren haben.",
            "",
        ),
        MailKind::PasswordChanged => Words("Ihr Passwort wurde geändert", "Das Passwort Ihres Kontos {{ email }} wurde geändert.", ""),
        MailKind::EmailChanged => {
            Words("Ihre E-Mail-Adresse wurde geändert", "Ihr Konto hat jetzt die Adresse {{ new_email }} statt {{ email }}.", "")
        }
        MailKind::PhoneChanged => {
            Words("Ihre Telefonnummer wurde geändert", "Ihr Konto {{ email }} hat jetzt die Telefonnummer {{ new_phone }}.", "")
        }
        MailKind::NewDevice => Words(
            "Neue Anmeldung",
            "Jemand hat sich bei Ihrem Konto {{ email }} von einem Ort aus angemeldet, den wir noch nicht kennen: {{ device }}",
            "",
        ),
        MailKind::FactorAdded => Words("Ein zweiter Faktor kam hinzu", "Zu Ihrem Konto {{ email }} kam ein zweiter Faktor hinzu ({{ factor }}).", ""),
        MailKind::FactorRemoved => {
            Words("Ein zweiter Faktor wurde entfernt", "Von Ihrem Konto {{ email }} wurde ein zweiter Faktor entfernt ({{ factor }}).", "")
        }
        MailKind::RecoveryCodesMade => Words(
            "Neue Wiederherstellungscodes",
            "Für Ihr Konto {{ email }} wurden neue Wiederherstellungscodes erzeugt. Ältere gelten nicht mehr.",
            "",
        ),
        MailKind::PasskeyAdded => {
            Words("Ein Passkey kam hinzu", "Zu Ihrem Konto {{ email }} kam ein Passkey hinzu ({{ passkey }}). Wer ihn hat, kann sich anmelden.", "")
        }
        MailKind::PasskeyRemoved => {
            Words("Ein Passkey wurde entfernt", "Von Ihrem Konto {{ email }} wurde ein Passkey entfernt ({{ passkey }}).", "")
        }
        MailKind::IdentityLinked => {
            Words("Eine Anmeldeart kam hinzu", "Bei Ihrem Konto {{ email }} kann man sich jetzt über {{ provider }} anmelden.", "")
        }
        MailKind::IdentityUnlinked => {
            Words("Eine Anmeldeart wurde entfernt", "Bei Ihrem Konto {{ email }} kann man sich nicht mehr über {{ provider }} anmelden.", "")
        }
    }
}
