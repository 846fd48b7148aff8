//! The pages that show the documents, with the network cut off.

use crate::harness::{Browser, PASSWORD, Server, Stage};

#[tokio::test]
async fn the_pages_that_show_the_documents_ask_nobody_else() {
    let stage = Stage::alone(["reader"]).await;
    let (server, [reader]) = (&stage.server, &stage.people);
    stage.tell(read_documents(server, reader)).await;
}

async fn read_documents(server: &Server, reader: &Browser) {
    // What may be null within one of several shapes is more than ReDoc understands.
    reader.excuse("Incompatible types in allOf");
    for (page, operation) in [
        ("docs", "#operations-Accounts-login_user"),
        ("redoc", "[id='tag/Accounts/operation/login_user']"),
    ] {
        reader.open(&format!("{}{page}", server.url())).await;
        reader.find(operation).await;
        let loaded = reader
            .run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
            .await;
        let loaded: Vec<String> = serde_json::from_value(loaded).unwrap();
        assert!(loaded.contains(&format!("{}openapi.json", server.url())), "{loaded:?}");
        let own = |url: &String| url.starts_with(&server.url()) || url.starts_with("data:");
        // ReDoc's search worker is made by the page itself.
        let made = |url: &String| url.starts_with("blob:");
        assert!(loaded.iter().all(|url| own(url) || made(url)), "{page}: {loaded:?}");
    }

    // Who signs in on the page may try what needs a token there.
    reader.open(&format!("{}docs", server.url())).await;
    reader.click(".auth-wrapper .authorize").await;
    reader.press("#oauth_username", "admin").await;
    reader.press("#oauth_password", PASSWORD).await;
    reader.click(".auth-container:has(#oauth_username) .authorize").await;
    reader.find(".auth-container .authorized, .auth-container h6").await;
    reader.click(".btn-done").await;
    reader.click("#operations-Me-get_me .opblock-summary-control").await;
    reader.click("#operations-Me-get_me .try-out__btn").await;
    reader.click("#operations-Me-get_me .execute").await;
    reader
        .see("#operations-Me-get_me .live-responses-table .response .response-col_status", "200")
        .await;
}
