//! What the document says before its first operation: title, tags, how to authenticate.

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
pub fn base() -> Document {
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
        (name = "Accounts", description = "Registering, signing in and out, renewing tokens."),
        (name = "Me", description = "The caller's own profile, password and sessions."),
        (name = "Users", description = "Other people."),
        (name = "Chats", description = "Private chats, groups and rooms: making, listing, renaming, \
            deleting, entering and leaving."),
        (name = "Members", description = "Who is in a chat."),
        (name = "Messages", description = "A chat's messages: reading in pages, posting, editing, \
            deleting, the read mark."),
        (name = "Lobby", description = "The public room of everybody, by the names of the lobby's \
            clients. Where guests are let in it needs no credentials."),
        (name = "Direct messages", description = "Conversations of two, by the numbers of the two users."),
        (name = "Read state", description = "Chats by name with what is read and what is not."),
        (name = "Administration", description = "What only administrators may do. All of it is in the \
            audit log, but for who is connected."),
        (name = "Operation", description = "Whether the service is well."),
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
            .description(Some("The `access_token` of signing in; good for 15 minutes."))
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
