//! The parts of the document before its first operation: title, tags and how to authenticate.

use platform::credentials::SESSION_COOKIE;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, OpenApi as Document,
        security::{
            ApiKey, ApiKeyValue, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Password, Scopes,
            SecurityScheme,
        },
    },
};

/// The document without operations. Whatever does not say otherwise needs one of the credentials.
pub(crate) fn base() -> Document {
    Base::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Switchboard",
        description = include_str!("description.md"),
        license(name = "MIT", identifier = "MIT"),
    ),
    servers((url = "/", description = "The origin this document came from")),
    security(("bearer" = []), ("oauth2" = []), ("session" = [])),
    components(schemas(platform::problem::ProblemBody)),
    modifiers(&Schemes),
    tags(
        (name = "Accounts", description = "Register, sign in and out, renew tokens."),
        (name = "Me", description = "The caller's own profile, password and sessions."),
        (name = "Users", description = "Other people."),
        (name = "Chats", description = "Private chats, groups and rooms: create, list, rename, delete, \
            enter and leave them."),
        (name = "Members", description = "The members of a chat."),
        (name = "Messages", description = "A chat's messages: read them in pages, post, edit and delete \
            them, and move the read mark."),
        (name = "Lobby", description = "The public room that everybody is in, with the names that the lobby's \
            clients use. Needs no credentials where guests are allowed."),
        (name = "Direct messages", description = "Conversations between two users, addressed by the two user ids."),
        (name = "Read state", description = "Chats by name, with their read and unread messages."),
        (name = "Administration", description = "Actions reserved for administrators. All are recorded in the \
            audit log, except listing the connected users."),
        (name = "Operation", description = "The health of the service."),
        (name = "Documents", description = "The descriptions of this service, and the keys that check \
            its tokens."),
    ),
)]
struct Base;

/// The ways to show who one is.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `access_token` returned by signing in, valid for 15 minutes."))
            .build();
        let session = ApiKeyValue::with_description(
            SESSION_COOKIE,
            "Set by signing in, HttpOnly. A request that changes something is refused when its \
             `Origin` is neither the own one nor an allowed one.",
        );
        let password = Password::new("/login", Scopes::new());
        let oauth2 = OAuth2::with_description(
            [Flow::Password(password)],
            "The OAuth2 password form at `/login`; what it returns is the Bearer token.",
        );
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
        components.add_security_scheme("oauth2", SecurityScheme::OAuth2(oauth2));
    }
}
