//! What mails say in Spanish.

use super::{Texts, Words};
use crate::tenants::MailKind;

pub(super) const TEXTS: Texts = Texts {
    or_code: "O introduzca este código:",
    only_code: "Su código:",
    not_asked: "Si no lo ha pedido usted, puede ignorar este mensaje: no pasará nada.",
    not_you: "Si no ha sido usted, elija enseguida otra contraseña y avise a quien lleva la aplicación.",
    mails,
};

fn mails(kind: MailKind) -> Words {
    match kind {
        MailKind::Confirmation => Words(
            "Confirme su dirección de correo",
            "Alguien, esperamos que usted, ha creado una cuenta con {{ email }}. Confirme que la dirección es suya.",
            "Confirmar dirección",
        ),
        MailKind::Invite => {
            Words("Está invitado", "Se ha creado una cuenta para {{ email }}. Acepte la invitación para usarla.", "Aceptar invitación")
        }
        MailKind::MagicLink => Words("Iniciar sesión", "Este es el enlace con el que inicia sesión. Sirve una sola vez.", "Iniciar sesión"),
        MailKind::Recovery => Words(
            "Elija otra contraseña",
            "Ha indicado que perdió su contraseña. Este enlace inicia su sesión una vez para que elija otra.",
            "Elegir contraseña",
        ),
        MailKind::EmailChange => Words(
            "Confirme su nueva dirección de correo",
            "Su cuenta va a tener la dirección {{ new_email }}{% if email %} en lugar de {{ email }}{% endif %}. Confirme que la nueva dirección es suya.",
            "Confirmar nueva dirección",
        ),
        MailKind::EmailChangeCurrent => Words(
            "Acepte su nueva dirección de correo",
            "Su cuenta va a tener la dirección {{ new_email }} en lugar de {{ email }}. Si es lo que quiere, acéptelo.",
            "Aceptar",
        ),
        MailKind::Reauthentication => Words("Su código", "Introduzca este código para mostrar que es usted.", ""),
        MailKind::AccountExists => Words(
            "Ya tiene una cuenta",
            "Alguien, quizá usted, ha querido crear una cuenta con {{ email }}. Ya existe una: inicie sesión con ella, o pida otra contraseña si perdió la suya.",
            "",
        ),
        MailKind::PasswordChanged => Words("Su contraseña ha cambiado", "La contraseña de su cuenta {{ email }} ha cambiado.", ""),
        MailKind::EmailChanged => {
            Words("Su dirección de correo ha cambiado", "Su cuenta tiene ahora la dirección {{ new_email }} en lugar de {{ email }}.", "")
        }
        MailKind::PhoneChanged => Words("Su número de teléfono ha cambiado", "Su cuenta {{ email }} tiene ahora el número {{ new_phone }}.", ""),
        MailKind::NewDevice => {
            Words("Nuevo inicio de sesión", "Alguien ha iniciado sesión en su cuenta {{ email }} desde un lugar que no conocíamos: {{ device }}", "")
        }
        MailKind::FactorAdded => {
            Words("Se ha añadido un segundo factor", "Se ha añadido un segundo factor ({{ factor }}) a su cuenta {{ email }}.", "")
        }
        MailKind::FactorRemoved => {
            Words("Se ha quitado un segundo factor", "Se ha quitado un segundo factor ({{ factor }}) de su cuenta {{ email }}.", "")
        }
        MailKind::RecoveryCodesMade => Words(
            "Nuevos códigos de recuperación",
            "Se han creado nuevos códigos de recuperación para su cuenta {{ email }}. Los anteriores ya no sirven.",
            "",
        ),
        MailKind::PasskeyAdded => Words(
            "Se ha añadido una llave de acceso",
            "Se ha añadido una llave de acceso ({{ passkey }}) a su cuenta {{ email }}. Con ella se puede iniciar sesión.",
            "",
        ),
        MailKind::PasskeyRemoved => {
            Words("Se ha quitado una llave de acceso", "Se ha quitado una llave de acceso ({{ passkey }}) de su cuenta {{ email }}.", "")
        }
        MailKind::IdentityLinked => {
            Words("Se ha añadido una forma de iniciar sesión", "Ahora se puede iniciar sesión en su cuenta {{ email }} con {{ provider }}.", "")
        }
        MailKind::IdentityUnlinked => {
            Words("Se ha quitado una forma de iniciar sesión", "Ya no se puede iniciar sesión en su cuenta {{ email }} con {{ provider }}.", "")
        }
    }
}
