//! What a hook may make of an access token: anything, as long as it still names the same session of the same user.

use serde_json::{Map, Value};

use super::super::create_user::checked_role;

/// Bytes of claims at most: all of it travels in a header of every request.
const LARGEST: usize = 16 * 1024;

/// What a claim must be, if it is there.
type Kind = fn(&Value) -> bool;

const KINDS: &[(&str, Kind, &str)] = &[
    ("aud", |value| value.is_string() || value.is_array(), "a text or a list"),
    ("exp", |value| value.is_i64(), "a whole number"),
    ("iat", |value| value.is_i64(), "a whole number"),
    ("nbf", |value| value.is_i64(), "a whole number"),
    ("iss", Value::is_string, "a text"),
    ("jti", Value::is_string, "a text"),
    ("sub", Value::is_string, "a text"),
    ("email", Value::is_string, "a text"),
    ("phone", Value::is_string, "a text"),
    ("app_metadata", Value::is_object, "an object"),
    ("user_metadata", Value::is_object, "an object"),
    ("role", Value::is_string, "a text"),
    ("aal", Value::is_string, "a text"),
    ("amr", |value| value.as_array().is_some_and(|entries| entries.iter().all(|entry| entry.is_object() || entry.is_string())), "a list"),
    ("session_id", Value::is_string, "a text"),
    ("client_id", Value::is_string, "a text"),
    ("is_anonymous", Value::is_boolean, "true or false"),
];

/// What has to be there.
const REQUIRED: &[&str] = &["aud", "exp", "iat", "sub", "email", "phone", "role", "aal", "session_id", "is_anonymous"];

/// What has to stay as it was, or the token would be somebody else's, of another session, or surer of the user than it is.
const FIXED: &[&str] = &["iss", "aud", "iat", "sub", "email", "phone", "aal", "session_id", "is_anonymous"];
/// What may be left empty all the same: not everybody who sees a token has to see it.
const MAY_BE_EMPTY: &[&str] = &["email", "phone"];

/// The claims of a hook's answer, or what is wrong with them.
pub(super) fn check(before: &Value, mut answer: Value) -> Result<Value, String> {
    let claims = match answer.get_mut("claims").map(Value::take) {
        Some(Value::Object(claims)) => claims,
        Some(_) => return Err("output claims should be an object".to_owned()),
        None => return Err("output claims field is missing".to_owned()),
    };
    let wrong = wrongs(before, &claims);
    if wrong.is_empty() {
        Ok(Value::Object(claims))
    } else {
        Err(format!("output claims do not conform to the expected schema: \n{}", wrong.concat()))
    }
}

fn wrongs(before: &Value, claims: &Map<String, Value>) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in REQUIRED.iter().filter(|name| !claims.contains_key(**name)) {
        wrong.push(format!("- {name} is required\n"));
    }
    for (name, is_right, kind) in KINDS {
        if claims.get(*name).is_some_and(|value| !is_right(value)) {
            wrong.push(format!("- {name} should be {kind}\n"));
        }
    }
    for name in FIXED {
        let is_emptied = |value: &Value| MAY_BE_EMPTY.contains(name) && value == "";
        if claims.get(*name).is_some_and(|value| *value != before[*name] && !is_emptied(value)) {
            wrong.push(format!("- {name} can't be changed\n"));
        }
    }
    if claims.get("exp").and_then(Value::as_i64) > before["exp"].as_i64() {
        wrong.push("- exp can't be later than it was\n".to_owned());
    }
    if claims.get("role").and_then(Value::as_str).is_some_and(|role| checked_role(role.to_owned()).is_err()) {
        wrong.push("- role can't be that of a key\n".to_owned());
    }
    if serde_json::to_vec(claims).map_or(usize::MAX, |text| text.len()) > LARGEST {
        wrong.push(format!("- all claims together can have {LARGEST} bytes\n"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn before() -> Value {
        json!({
            "iss": "https://a.example/auth/v1", "sub": "u", "aud": "authenticated", "exp": 100, "iat": 1, "email": "ada@example.com", "phone": "",
            "app_metadata": {}, "user_metadata": {}, "role": "authenticated", "aal": "aal1", "amr": [], "session_id": "s", "is_anonymous": false,
        })
    }

    #[test]
    fn a_hook_adds_and_takes_away_but_keeps_what_tells_whose_it_is() {
        let mut claims = before();
        claims["plan"] = json!("gold");
        claims["role"] = json!("clerk");
        claims["email"] = json!("");
        claims["exp"] = json!(50);
        claims.as_object_mut().unwrap().remove("user_metadata");
        assert_eq!(check(&before(), json!({ "claims": claims })).unwrap(), claims);
        for (name, value) in [
            ("sub", json!("other")),
            ("session_id", json!("other")),
            ("session_id", json!(null)),
            ("iss", json!("other")),
            ("exp", json!(101)),
            ("exp", json!("100")),
            ("exp", json!(50.5)),
            ("role", json!("service_role")),
            ("role", json!(7)),
            ("email", json!(null)),
            ("email", json!("other@example.com")),
            ("aud", json!("other")),
            ("aal", json!("aal2")),
            ("is_anonymous", json!(true)),
            ("amr", json!({})),
            ("app_metadata", json!([])),
            ("is_anonymous", json!("no")),
            ("much", json!("x".repeat(LARGEST))),
        ] {
            let mut claims = before();
            claims[name] = value;
            assert!(check(&before(), json!({ "claims": claims })).is_err(), "{name}");
        }
        for name in REQUIRED {
            let mut claims = before();
            claims.as_object_mut().unwrap().remove(*name);
            assert!(check(&before(), json!({ "claims": claims })).unwrap_err().contains(name));
        }
        assert!(check(&before(), json!({})).is_err() && check(&before(), json!({ "claims": [] })).is_err());
    }
}
