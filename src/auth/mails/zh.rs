//! What mails say in Chinese.

use super::{Texts, Words};
use crate::tenants::MailKind;

pub(super) const TEXTS: Texts = Texts {
    or_code: "或输入验证码：",
    only_code: "您的验证码：",
    not_asked: "如果这不是您的请求，请忽略本邮件，不会有任何变化。",
    not_you: "如果这不是您本人的操作，请立即更换密码，并告知应用的管理者。",
    mails,
};

fn mails(kind: MailKind) -> Words {
    match kind {
        MailKind::Confirmation => Words("请确认您的邮箱地址", "有人（希望是您）用 {{ email }} 注册了账号。请确认该邮箱属于您。", "确认邮箱"),
        MailKind::Invite => Words("您收到一份邀请", "已为 {{ email }} 创建账号。接受邀请即可使用。", "接受邀请"),
        MailKind::MagicLink => Words("登录", "请点击链接登录。该链接只能使用一次。", "登录"),
        MailKind::Recovery => Words("设置新密码", "您表示忘记了密码。此链接可让您登录一次，以便设置新密码。", "设置新密码"),
        MailKind::EmailChange => Words(
            "请确认您的新邮箱地址",
            "您的账号邮箱将{% if email %}由 {{ email }} {% endif %}改为 {{ new_email }}。请确认新邮箱属于您。",
            "确认新邮箱",
        ),
        MailKind::EmailChangeCurrent => {
            Words("请同意更换邮箱地址", "您的账号邮箱将由 {{ email }} 改为 {{ new_email }}。如果这是您的意愿，请点击同意。", "同意")
        }
        MailKind::Reauthentication => Words("您的验证码", "请输入此验证码，以确认是您本人。", ""),
        MailKind::AccountExists => {
            Words("您已经有账号", "有人（也许是您）想用 {{ email }} 注册账号。该账号已存在：请直接登录；如果忘记密码，请申请设置新密码。", "")
        }
        MailKind::PasswordChanged => Words("您的密码已更改", "您的账号 {{ email }} 的密码已更改。", ""),
        MailKind::EmailChanged => Words("您的邮箱地址已更改", "您的账号邮箱已由 {{ email }} 改为 {{ new_email }}。", ""),
        MailKind::PhoneChanged => Words("您的电话号码已更改", "您的账号 {{ email }} 的电话号码现为 {{ new_phone }}。", ""),
        MailKind::NewDevice => Words("新的登录", "有人从我们未曾见过的地方登录了您的账号 {{ email }}：{{ device }}", ""),
        MailKind::FactorAdded => Words("已添加第二重验证", "您的账号 {{ email }} 已添加第二重验证（{{ factor }}）。", ""),
        MailKind::FactorRemoved => Words("已移除第二重验证", "您的账号 {{ email }} 已移除第二重验证（{{ factor }}）。", ""),
        MailKind::RecoveryCodesMade => Words("已生成新的恢复代码", "您的账号 {{ email }} 已生成新的恢复代码，旧代码已失效。", ""),
        MailKind::PasskeyAdded => Words("已添加通行密钥", "您的账号 {{ email }} 已添加通行密钥（{{ passkey }}），持有者可以登录。", ""),
        MailKind::PasskeyRemoved => Words("已移除通行密钥", "您的账号 {{ email }} 已移除通行密钥（{{ passkey }}）。", ""),
        MailKind::IdentityLinked => Words("已添加登录方式", "您的账号 {{ email }} 现在可以通过 {{ provider }} 登录。", ""),
        MailKind::IdentityUnlinked => Words("已移除登录方式", "您的账号 {{ email }} 不能再通过 {{ provider }} 登录。", ""),
    }
}
