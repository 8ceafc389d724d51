//! What is to be known of each provider: where it is, what it is asked for, and where in its answer the user is.
//!
//! Whether a mail address is the user's is believed only where the provider says so of this very address. Where it says nothing, or says
//! it in a field that its users or their directories can write (V4), it has not said so.

use super::profile::Verified;

/// One provider. In its addresses `{url}` stands for the setting `url`, or for `base` without one.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) base: &'static str,
    pub(super) authorize: &'static str,
    pub(super) token: &'static str,
    /// Its issuer, where its ID tokens are taken.
    pub(super) issuer: &'static str,
    pub(super) jwks: &'static str,
    /// Where it tells of a user; empty when the ID token says it all.
    pub(super) userinfo: &'static str,
    /// The same where one hosts it oneself.
    pub(super) hosted_userinfo: &'static str,
    /// Where the user's mail addresses are, below `userinfo`.
    pub(super) emails: Option<Emails>,
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) scopes: &'static [&'static str],
    /// What else it is asked, always.
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// Whether it understands PKCE.
    pub(super) pkce: bool,
    /// Whether the client's secret goes into a header, rather than into the form.
    pub(super) basic: bool,
    /// Whether its userinfo wants a proof of the secret with the token.
    pub(super) proof: bool,
    /// What the user is called there: field and where it is, the first that is there. A JSON pointer, or a text with pointers in braces.
    pub(super) fields: &'static [(&'static str, &'static [&'static str])],
    pub(super) verified: Verified<&'static str>,
}

/// A list of mail addresses.
pub(super) struct Emails {
    pub(super) path: &'static str,
    pub(super) list: &'static str,
    pub(super) address: &'static str,
    pub(super) primary: &'static str,
    pub(super) verified: &'static str,
}

/// The issuer of Microsoft, which is another for each directory.
pub(super) const DIRECTORY: &str = "{directory}";

/// What OpenID Connect calls things (Core 1.0, 5.1).
pub(super) const STANDARD_FIELDS: &[(&str, &[&str])] = &[
    ("sub", &["/sub"]),
    ("email", &["/email"]),
    ("name", &["/name", "{/given_name} {/family_name}", "/given_name"]),
    ("user_name", &["/preferred_username", "/nickname"]),
    ("picture", &["/picture"]),
];

const NONE: Builtin = Builtin {
    name: "",
    base: "",
    authorize: "",
    token: "",
    issuer: "",
    jwks: "",
    userinfo: "",
    hosted_userinfo: "",
    emails: None,
    headers: &[],
    scopes: &[],
    parameters: &[],
    pkce: false,
    basic: false,
    proof: false,
    fields: STANDARD_FIELDS,
    verified: Verified::Never,
};

const X: Builtin = Builtin {
    name: "x",
    authorize: "https://x.com/i/oauth2/authorize",
    token: "https://api.x.com/2/oauth2/token",
    userinfo: "https://api.x.com/2/users/me?user.fields=name,profile_image_url,confirmed_email",
    scopes: &["users.email", "tweet.read", "users.read", "offline.access"],
    pkce: true,
    basic: true,
    fields: &[
        ("sub", &["/data/id"]),
        ("email", &["/data/confirmed_email"]),
        ("name", &["/data/name"]),
        ("user_name", &["/data/username"]),
        ("picture", &["/data/profile_image_url"]),
    ],
    // The field holds a confirmed address or none.
    verified: Verified::ByField,
    ..NONE
};

/// The providers that are known by name.
pub(super) const TABLE: &[Builtin] = &[
    Builtin {
        name: "apple",
        authorize: "https://appleid.apple.com/auth/authorize",
        token: "https://appleid.apple.com/auth/token",
        issuer: "https://appleid.apple.com",
        jwks: "https://appleid.apple.com/auth/keys",
        scopes: &["email", "name"],
        // It asks for this where it is to tell mail address and name.
        parameters: &[("response_mode", "form_post")],
        verified: Verified::Claim("/email_verified"),
        ..NONE
    },
    Builtin {
        name: "azure",
        base: "https://login.microsoftonline.com/common",
        authorize: "{url}/oauth2/v2.0/authorize",
        token: "{url}/oauth2/v2.0/token",
        issuer: DIRECTORY,
        jwks: "{url}/discovery/v2.0/keys",
        scopes: &["openid", "email", "profile"],
        pkce: true,
        // The address is whatever the directory says. Only this claim says that its domain is the directory's own.
        verified: Verified::Number("/xms_edov"),
        ..NONE
    },
    Builtin {
        name: "bitbucket",
        authorize: "https://bitbucket.org/site/oauth2/authorize",
        token: "https://bitbucket.org/site/oauth2/access_token",
        userinfo: "https://api.bitbucket.org/2.0/user",
        emails: Some(Emails { path: "/emails", list: "/values", address: "/email", primary: "/is_primary", verified: "/is_confirmed" }),
        scopes: &["account", "email"],
        basic: true,
        fields: &[
            ("sub", &["/uuid"]),
            ("name", &["/display_name"]),
            ("user_name", &["/username", "/nickname"]),
            ("picture", &["/links/avatar/href"]),
        ],
        ..NONE
    },
    Builtin {
        name: "discord",
        authorize: "https://discord.com/api/oauth2/authorize",
        token: "https://discord.com/api/oauth2/token",
        userinfo: "https://discord.com/api/users/@me",
        scopes: &["email", "identify"],
        pkce: true,
        fields: &[
            ("sub", &["/id"]),
            ("email", &["/email"]),
            ("name", &["/global_name", "/username"]),
            ("user_name", &["/username"]),
            ("picture", &["https://cdn.discordapp.com/avatars/{/id}/{/avatar}.png"]),
        ],
        verified: Verified::Claim("/verified"),
        ..NONE
    },
    Builtin {
        name: "facebook",
        authorize: "https://www.facebook.com/dialog/oauth",
        token: "https://graph.facebook.com/oauth/access_token",
        issuer: "https://www.facebook.com",
        jwks: "https://www.facebook.com/.well-known/oauth/openid/jwks/",
        userinfo: "https://graph.facebook.com/me?fields=id,email,first_name,last_name,name,picture",
        scopes: &["email"],
        proof: true,
        fields: &[
            ("sub", &["/id", "/sub"]),
            ("email", &["/email"]),
            ("name", &["/name", "{/first_name} {/last_name}"]),
            ("picture", &["/picture/data/url", "/picture"]),
        ],
        ..NONE
    },
    Builtin {
        name: "figma",
        authorize: "https://www.figma.com/oauth",
        token: "https://api.figma.com/v1/oauth/token",
        userinfo: "https://api.figma.com/v1/me",
        scopes: &["current_user:read"],
        basic: true,
        fields: &[("sub", &["/id"]), ("email", &["/email"]), ("name", &["/handle"]), ("picture", &["/img_url"])],
        ..NONE
    },
    Builtin {
        name: "github",
        base: "https://github.com",
        authorize: "{url}/login/oauth/authorize",
        token: "{url}/login/oauth/access_token",
        userinfo: "https://api.github.com/user",
        hosted_userinfo: "{url}/api/v3/user",
        emails: Some(Emails { path: "/emails", list: "", address: "/email", primary: "/primary", verified: "/verified" }),
        headers: &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")],
        scopes: &["user:email"],
        pkce: true,
        fields: &[("sub", &["/id"]), ("name", &["/name", "/login"]), ("user_name", &["/login"]), ("picture", &["/avatar_url"])],
        ..NONE
    },
    Builtin {
        name: "gitlab",
        base: "https://gitlab.com",
        authorize: "{url}/oauth/authorize",
        token: "{url}/oauth/token",
        userinfo: "{url}/api/v4/user",
        scopes: &["read_user"],
        pkce: true,
        fields: &[("sub", &["/id"]), ("email", &["/email"]), ("name", &["/name"]), ("user_name", &["/username"]), ("picture", &["/avatar_url"])],
        verified: Verified::Moment("/confirmed_at"),
        ..NONE
    },
    Builtin {
        name: "google",
        authorize: "https://accounts.google.com/o/oauth2/v2/auth",
        token: "https://oauth2.googleapis.com/token",
        issuer: "https://accounts.google.com",
        jwks: "https://www.googleapis.com/oauth2/v3/certs",
        scopes: &["openid", "email", "profile"],
        pkce: true,
        verified: Verified::Claim("/email_verified"),
        ..NONE
    },
    Builtin {
        name: "keycloak",
        authorize: "{url}/protocol/openid-connect/auth",
        token: "{url}/protocol/openid-connect/token",
        issuer: "{url}",
        jwks: "{url}/protocol/openid-connect/certs",
        scopes: &["openid", "email", "profile"],
        pkce: true,
        verified: Verified::Claim("/email_verified"),
        ..NONE
    },
    Builtin {
        name: "linkedin_oidc",
        authorize: "https://www.linkedin.com/oauth/v2/authorization",
        token: "https://www.linkedin.com/oauth/v2/accessToken",
        userinfo: "https://api.linkedin.com/v2/userinfo",
        scopes: &["openid", "email", "profile"],
        verified: Verified::Claim("/email_verified"),
        ..NONE
    },
    Builtin {
        name: "notion",
        authorize: "https://api.notion.com/v1/oauth/authorize",
        token: "https://api.notion.com/v1/oauth/token",
        userinfo: "https://api.notion.com/v1/users/me",
        headers: &[("notion-version", "2022-06-28")],
        parameters: &[("owner", "user")],
        basic: true,
        fields: &[
            ("sub", &["/bot/owner/user/id"]),
            ("email", &["/bot/owner/user/person/email"]),
            ("name", &["/bot/owner/user/name"]),
            ("picture", &["/bot/owner/user/avatar_url"]),
        ],
        ..NONE
    },
    Builtin {
        name: "slack_oidc",
        authorize: "https://slack.com/openid/connect/authorize",
        token: "https://slack.com/api/openid.connect.token",
        userinfo: "https://slack.com/api/openid.connect.userInfo",
        scopes: &["openid", "email", "profile"],
        verified: Verified::Claim("/email_verified"),
        ..NONE
    },
    Builtin {
        name: "spotify",
        authorize: "https://accounts.spotify.com/authorize",
        token: "https://accounts.spotify.com/api/token",
        userinfo: "https://api.spotify.com/v1/me",
        scopes: &["user-read-email"],
        pkce: true,
        basic: true,
        fields: &[("sub", &["/id"]), ("email", &["/email"]), ("name", &["/display_name"]), ("picture", &["/images/0/url"])],
        // Its document says that nobody has checked the address.
        ..NONE
    },
    Builtin {
        name: "twitch",
        authorize: "https://id.twitch.tv/oauth2/authorize",
        token: "https://id.twitch.tv/oauth2/token",
        userinfo: "https://api.twitch.tv/helix/users",
        headers: &[("client-id", "{client_id}")],
        scopes: &["user:read:email"],
        fields: &[
            ("sub", &["/data/0/id"]),
            ("email", &["/data/0/email"]),
            ("name", &["/data/0/display_name"]),
            ("user_name", &["/data/0/login"]),
            ("picture", &["/data/0/profile_image_url"]),
        ],
        // The field holds a verified address or none.
        verified: Verified::ByField,
        ..NONE
    },
    Builtin { name: "twitter", ..X },
    X,
    Builtin {
        name: "zoom",
        authorize: "https://zoom.us/oauth/authorize",
        token: "https://zoom.us/oauth/token",
        userinfo: "https://api.zoom.us/v2/users/me",
        scopes: &["user:read:user"],
        basic: true,
        fields: &[("sub", &["/id"]), ("email", &["/email"]), ("name", &["{/first_name} {/last_name}", "/display_name"]), ("picture", &["/pic_url"])],
        verified: Verified::Number("/verified"),
        ..NONE
    },
];
