//! A native client, just good enough to make load: it says hello, resumes from where it stopped and
//! hears frames. What it is for is in `load.rs`.

use futures_util::{SinkExt, StreamExt};
use protocol::{
    frames::{ChatEvent, ClientFrame, Resume, ServerFrame},
    id::{ChatId, Seq},
};
use std::{collections::HashMap, net::SocketAddr, time::Duration};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// Longer than anything takes while a gateway restarts or Redis hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What went wrong; the load goes on with another connection.
#[derive(Debug)]
pub struct Gone;

/// One connection.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Where it is: what a resume needs.
    pub track: Resume,
}

/// Who connects, and how.
#[derive(Clone, Debug)]
pub struct Dial {
    pub address: SocketAddr,
    pub token: String,
    pub resume: Option<Resume>,
    /// What the kernel takes in for a client that does not read.
    pub receive_buffer: Option<u32>,
}

impl Dial {
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned(), resume: None, receive_buffer: None }
    }

    /// Connects and waits until the gateway is ready for it.
    pub async fn open(&self) -> Result<Client, Gone> {
        let opening = async {
            let tcp = TcpSocket::new_v4().map_err(|_| Gone)?;
            if let Some(bytes) = self.receive_buffer {
                tcp.set_recv_buffer_size(bytes).map_err(|_| Gone)?;
            }
            let tcp = tcp.connect(self.address).await.map_err(|_| Gone)?;
            let url = format!("ws://{}/gateway", self.address);
            let request = url.into_client_request().map_err(|_| Gone)?;
            let (socket, _) = client_async(request, tcp).await.map_err(|_| Gone)?;
            let track = Resume { epoch: String::new(), cursors: HashMap::new() };
            let mut client = Client { socket, track };
            let (token, resume) = (Some(self.token.clone()), self.resume.clone());
            client.say(&ClientFrame::hello(token, resume)).await?;
            client
                .until(|frame| matches!(frame, ServerFrame::Ready { .. }).then_some(()))
                .await
                .map(|()| client)
        };
        tokio::time::timeout(PATIENCE, opening).await.unwrap_or(Err(Gone))
    }
}

impl Client {
    pub async fn say(&mut self, frame: &ClientFrame) -> Result<(), Gone> {
        let text = serde_json::to_string(frame).expect("frames encode");
        self.socket.send(Message::text(text)).await.map_err(|_| Gone)
    }

    /// Hears frames until one of them is what is wanted.
    pub async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&ServerFrame) -> Option<T>,
    ) -> Result<T, Gone> {
        let hearing = async {
            loop {
                let frame = self.hear().await?;
                if let Some(found) = wanted(&frame) {
                    return Ok(found);
                }
            }
        };
        tokio::time::timeout(PATIENCE, hearing).await.unwrap_or(Err(Gone))
    }

    /// Posts a text and waits until it is committed: its number.
    pub async fn post(&mut self, chat_id: ChatId, text: &str) -> Result<Seq, Gone> {
        let id = Some(uuid::Uuid::now_v7().to_string());
        let send =
            ClientFrame::Send { id: id.clone(), chat_id, text: text.to_owned(), reply_to: None };
        self.say(&send).await?;
        self.answer(id).await
    }

    /// Waits for the answer to the frame `wanted`; one that is refused is gone too.
    pub async fn answer(&mut self, wanted: Option<String>) -> Result<Seq, Gone> {
        let answer = self.until(|frame| match frame {
            ServerFrame::Ack { id, message_id, .. } if *id == wanted => Some(Some(*message_id)),
            ServerFrame::Error { id, .. } if *id == wanted => Some(None),
            _ => None,
        });
        answer.await?.ok_or(Gone)
    }

    /// The next frame. Cancel-safe.
    pub async fn hear(&mut self) -> Result<ServerFrame, Gone> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text).expect("a frame of the protocol");
                    self.note(&frame);
                    return Ok(frame);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                Some(Ok(_)) => {}
            }
        }
    }

    fn note(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Ready { epoch, chats, .. } => {
                self.track.epoch.clone_from(epoch);
                self.track.cursors = chats.iter().map(|chat| (chat.id, chat.seq)).collect();
            }
            ServerFrame::Event(ChatEvent { chat_id, event }) => {
                self.track.cursors.insert(*chat_id, event.seq);
            }
            _ => {}
        }
    }
}
