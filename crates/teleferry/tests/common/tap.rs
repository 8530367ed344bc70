//! Somebody on the way between a client and the proxy, who sees the lengths of records.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on and writes down what records the proxy sends behind its answer.
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    lens: Arc<Mutex<Vec<usize>>>,
}

impl Tap {
    pub(crate) async fn start(proxy: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
        let address = listener.local_addr().expect("address");
        let lens = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lens);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(proxy).await.expect("connect");
                tokio::spawn(pass_on(client, server, Arc::clone(&seen)));
            }
        });
        Self { address, lens }
    }

    /// The lengths of the data records so far, in order, without that of the answer.
    pub(crate) fn lens(&self) -> Vec<usize> {
        self.lens.lock().expect("nobody panics").clone()
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, lens: Arc<Mutex<Vec<usize>>>) -> std::io::Result<()> {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    for number in 0.. {
        let mut header = [0; 5];
        from_server.read_exact(&mut header).await?;
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let mut record = header.to_vec();
        record.resize(5 + len, 0);
        from_server.read_exact(&mut record[5..]).await?;
        if number >= 3 {
            lens.lock().expect("nobody panics").push(len);
        }
        to_client.write_all(&record).await?;
    }
    up.await?.map(drop)
}
