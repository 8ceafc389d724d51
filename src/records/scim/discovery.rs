//! What a directory can find out about this server (RFC 7644, 4).

use serde_json::{Value as Json, json};

use super::patch::ENTERPRISE;

/// The schema of users.
pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The schema of groups.
pub(super) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The form of lists.
pub(super) const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// Resources in one list at most.
pub(super) const MOST: i64 = 200;

/// What is offered.
pub(super) fn config(base: &str) -> Json {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": MOST },
        "changePassword": { "supported": false },
        "sort": { "supported": false },
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "Secret key", "primary": true,
            "description": "A secret key of the tenant with the scopes scim:read and scim:write, as a bearer token",
        }],
        "meta": { "resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig") },
    })
}

/// The kinds of resources.
pub(super) fn resource_types(base: &str) -> Vec<Json> {
    let kind = |name: &str, endpoint: &str, schema: &str, extensions: Json| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": name, "name": name, "endpoint": endpoint, "schema": schema,
            "schemaExtensions": extensions,
            "meta": { "resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{name}") },
        })
    };
    vec![kind("User", "/Users", USER, json!([{ "schema": ENTERPRISE, "required": false }])), kind("Group", "/Groups", GROUP, json!([]))]
}

fn attribute(name: &str, kind: &str, about: &str) -> Json {
    json!({
        "name": name, "type": kind, "multiValued": false, "description": about, "required": false, "caseExact": false, "mutability": "readWrite",
        "returned": "default", "uniqueness": "none",
    })
}

fn with(mut attribute: Json, members: &[(&str, Json)]) -> Json {
    for (name, value) in members {
        attribute[*name] = value.clone();
    }
    attribute
}

fn complex(name: &str, about: &str, many: bool, parts: &[Json]) -> Json {
    with(attribute(name, "complex", about), &[("multiValued", json!(many)), ("subAttributes", json!(parts))])
}

fn texts(names: &[(&str, &str)]) -> Vec<Json> {
    names.iter().map(|(name, about)| attribute(name, "string", about)).collect()
}

/// The schemas, with the attributes that are kept. Others are passed over.
pub(super) fn schemas(base: &str) -> Vec<Json> {
    let schema = |id: &str, name: &str, about: &str, attributes: Vec<Json>| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": id, "name": name, "description": about, "attributes": attributes,
            "meta": { "resourceType": "Schema", "location": format!("{base}/Schemas/{id}") },
        })
    };
    vec![
        schema(USER, "User", "An employee", user_attributes()),
        schema(GROUP, "Group", "A group of employees", group_attributes()),
        schema(ENTERPRISE, "EnterpriseUser", "What an employee is in the company", enterprise_attributes()),
    ]
}

fn user_attributes() -> Vec<Json> {
    let valued = |about: &str, kinds: &[&str]| {
        vec![attribute("value", "string", about), with(attribute("type", "string", "What it is for"), &[("canonicalValues", json!(kinds))])]
    };
    let required = [("required", json!(true)), ("uniqueness", json!("server"))];
    let mut attributes = vec![
        with(attribute("userName", "string", "The name they sign in by, unique"), &required),
        complex(
            "name",
            "The name",
            false,
            &texts(&[
                ("formatted", "The whole name"),
                ("familyName", "The family name"),
                ("givenName", "The given name"),
                ("middleName", "The middle name"),
                ("honorificPrefix", "What goes before the name"),
            ]),
        ),
    ];
    attributes.extend(texts(&[
        ("displayName", "The name as shown"),
        ("nickName", "What they want to be called"),
        ("title", "What they do"),
        ("userType", "How they are employed: full_time, part_time, contractor, intern, temporary"),
        ("preferredLanguage", "The language they are addressed in; the same as locale"),
        ("locale", "The language they are addressed in"),
        ("timezone", "The time zone they work in"),
    ]));
    attributes.push(attribute("active", "boolean", "Whether they work here; false suspends them"));
    attributes.push(complex("emails", "Addresses", true, &valued("The address", &["work", "home"])));
    attributes.push(complex("phoneNumbers", "Telephones", true, &valued("The number", &["work", "mobile"])));
    let address = ["formatted", "streetAddress", "locality", "region", "postalCode", "country", "type"].map(|name| (name, "A part of the address"));
    attributes.push(complex("addresses", "Where they live: one of the type home", true, &texts(&address)));
    let groups = complex("groups", "The groups they are in", true, &texts(&[("value", "The group's id"), ("display", "The group's name")]));
    attributes.push(with(groups, &[("mutability", json!("readOnly"))]));
    attributes
}

fn group_attributes() -> Vec<Json> {
    let members = texts(&[("value", "The employee's id"), ("display", "The employee's name")]);
    vec![
        with(attribute("displayName", "string", "The name, unique"), &[("required", json!(true)), ("uniqueness", json!("server"))]),
        complex("members", "Who is in it", true, &members),
    ]
}

fn enterprise_attributes() -> Vec<Json> {
    let mut attributes = texts(&[
        ("employeeNumber", "The number the company knows them by, unique; made when it is not given"),
        ("costCenter", "Where their cost is booked"),
        ("organization", "The company that employs them, by name"),
        ("division", "The department that a new department is made part of"),
        ("department", "The department, by name; made when it is not there"),
    ]);
    let parts = texts(&[("value", "The manager's id"), ("displayName", "The manager's name")]);
    attributes.push(complex("manager", "Whom they report to", false, &parts));
    attributes
}
