//! What mails say in French.

use super::{Texts, Words};
use crate::tenants::MailKind;

pub(super) const TEXTS: Texts = Texts {
    or_code: "Ou saisissez ce code :",
    only_code: "Votre code :",
    not_asked: "Si vous n’avez rien demandé, vous pouvez ignorer ce message : il ne se passera rien.",
    not_you: "Si ce n’était pas vous, choisissez aussitôt un nouveau mot de passe et prévenez le responsable de l’application.",
    mails,
};

fn mails(kind: MailKind) -> Words {
    match kind {
        MailKind::Confirmation => Words(
            "Confirmez votre adresse e-mail",
            "Quelqu’un, vous sans doute, a créé un compte avec {{ email }}. Confirmez que cette adresse est la vôtre.",
            "Confirmer l’adresse",
        ),
        MailKind::Invite => {
            Words("Vous êtes invité", "Un compte a été créé pour {{ email }}. Acceptez l’invitation pour l’utiliser.", "Accepter l’invitation")
        }
        MailKind::MagicLink => Words("Connexion", "Voici le lien qui vous connecte. Il sert une seule fois.", "Se connecter"),
        MailKind::Recovery => Words(
            "Choisissez un nouveau mot de passe",
            "Vous avez indiqué avoir perdu votre mot de passe. Ce lien vous connecte une fois pour en choisir un autre.",
            "Choisir un mot de passe",
        ),
        MailKind::EmailChange => Words(
            "Confirmez votre nouvelle adresse e-mail",
            "Votre compte doit prendre l’adresse {{ new_email }}{% if email %} à la place de {{ email }}{% endif %}. Confirmez que la nouvelle adresse est la vôtre.",
            "Confirmer la nouvelle adresse",
        ),
        MailKind::EmailChangeCurrent => Words(
            "Acceptez votre nouvelle adresse e-mail",
            "Votre compte doit prendre l’adresse {{ new_email }} à la place de {{ email }}. Si vous le souhaitez, acceptez ce changement.",
            "Accepter",
        ),
        MailKind::Reauthentication => Words("Votre code", "Saisissez ce code pour montrer que c’est bien vous.", ""),
        MailKind::AccountExists => Words(
            "Vous avez déjà un compte",
            "Quelqu’un, peut-être vous, a voulu créer un compte avec {{ email }}. Il en existe déjà un : connectez-vous, ou demandez un nouveau mot de passe si vous avez perdu le vôtre.",
            "",
        ),
        MailKind::PasswordChanged => Words("Votre mot de passe a été changé", "Le mot de passe de votre compte {{ email }} a été changé.", ""),
        MailKind::EmailChanged => {
            Words("Votre adresse e-mail a été changée", "Votre compte a maintenant l’adresse {{ new_email }} à la place de {{ email }}.", "")
        }
        MailKind::PhoneChanged => {
            Words("Votre numéro de téléphone a été changé", "Votre compte {{ email }} a maintenant le numéro {{ new_phone }}.", "")
        }
        MailKind::NewDevice => Words(
            "Nouvelle connexion",
            "Quelqu’un s’est connecté à votre compte {{ email }} depuis un endroit que nous ne connaissions pas : {{ device }}",
            "",
        ),
        MailKind::FactorAdded => {
            Words("Un second facteur a été ajouté", "Un second facteur ({{ factor }}) a été ajouté à votre compte {{ email }}.", "")
        }
        MailKind::FactorRemoved => {
            Words("Un second facteur a été retiré", "Un second facteur ({{ factor }}) a été retiré de votre compte {{ email }}.", "")
        }
        MailKind::RecoveryCodesMade => Words(
            "Nouveaux codes de secours",
            "De nouveaux codes de secours ont été créés pour votre compte {{ email }}. Les anciens ne sont plus valables.",
            "",
        ),
        MailKind::PasskeyAdded => Words(
            "Une clé d’accès a été ajoutée",
            "Une clé d’accès ({{ passkey }}) a été ajoutée à votre compte {{ email }}. Elle permet de s’y connecter.",
            "",
        ),
        MailKind::PasskeyRemoved => {
            Words("Une clé d’accès a été retirée", "Une clé d’accès ({{ passkey }}) a été retirée de votre compte {{ email }}.", "")
        }
        MailKind::IdentityLinked => {
            Words("Un moyen de connexion a été ajouté", "On peut maintenant se connecter à votre compte {{ email }} avec {{ provider }}.", "")
        }
        MailKind::IdentityUnlinked => {
            Words("Un moyen de connexion a été retiré", "On ne peut plus se connecter à votre compte {{ email }} avec {{ provider }}.", "")
        }
    }
}
