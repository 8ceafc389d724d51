//! The operator: whoever holds a key of the installation. Not a user of any tenant.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};

use super::{
    key::{KeyKind, read_key},
    resolve::{bearer, one},
    sql,
};
use crate::{
    app::App,
    http::{ActorKind, Problem, note_actor, note_route},
};

/// Proof that a request came with an operator key, as `Authorization: Bearer basalt_operator_…` or `apikey`.
pub struct Operator(());

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        note_route(&parts.extensions);
        let refusal = |why: &str| Problem::new(StatusCode::UNAUTHORIZED, why);
        let header = |name| one(&parts.headers, name).map_err(|why| refusal(&why.to_string()));
        let text = header(header::AUTHORIZATION.as_str())?.and_then(bearer).or(header("apikey")?);
        let text = text.ok_or_else(|| refusal("this needs an operator key, as \"Authorization: Bearer basalt_operator_…\""))?;
        let Some((KeyKind::Operator, hash)) = read_key(text) else {
            return Err(refusal("that is no operator key; \"basalt key create --operator\" makes one"));
        };
        let conn = app.db.read().await.map_err(Problem::from)?;
        let id = sql::find_operator_key(&conn, &hash).await.map_err(Problem::from)?;
        let id = id.ok_or_else(|| refusal("that operator key is not known here, or was revoked"))?;
        note_actor(ActorKind::Operator, Some(id));
        Ok(Self(()))
    }
}
