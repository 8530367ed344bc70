//! Padding behind messages, as a proxy adds it that frames them itself.

/// Takes the padding off the frames of a stream.
#[derive(Debug, Default)]
pub(crate) struct Unpadder {
    /// A frame's length field, as far as it has come.
    head: [u8; 4],
    head_len: usize,
    /// Bytes of the frame that are still to come.
    message: usize,
    padding: usize,
}

impl Unpadder {
    /// Removes it in place, and makes the length fields those of the messages alone, which are whole words. Any pieces of
    /// the stream will do.
    pub(crate) fn strip<'a>(&mut self, stream: &'a mut [u8]) -> &'a mut [u8] {
        let (mut read, mut kept) = (0, 0);
        while read < stream.len() {
            if self.head_len < self.head.len() {
                let byte = stream[read];
                self.head[self.head_len] = byte;
                stream[kept] = if self.head_len == 0 { byte & !3 } else { byte };
                self.head_len += 1;
                (read, kept) = (read + 1, kept + 1);
                if self.head_len == self.head.len() {
                    let len = u32::from_le_bytes(self.head) as usize;
                    (self.message, self.padding) = (len & !3, len & 3);
                }
            }
            let message = self.message.min(stream.len() - read);
            stream.copy_within(read..read + message, kept);
            let padding =
                if message == self.message { self.padding.min(stream.len() - read - message) } else { 0 };
            (read, kept) = (read + message + padding, kept + message);
            (self.message, self.padding) = (self.message - message, self.padding - padding);
            if self.head_len == self.head.len() && self.message + self.padding == 0 {
                self.head_len = 0;
            }
        }
        &mut stream[..kept]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_lose_their_padding_in_any_pieces() {
        let (mut padded, mut bare) = (Vec::new(), Vec::new());
        for (len, padding) in [(8_u32, 3_u32), (300, 0), (4, 1), (0, 2), (0, 0), (152, 2)] {
            let message = vec![len as u8; len as usize];
            padded.extend((len + padding).to_le_bytes());
            padded.extend(&message);
            padded.extend(vec![0xee; padding as usize]);
            bare.extend(len.to_le_bytes());
            bare.extend(&message);
        }
        for size in 1..=padded.len() {
            let mut unpadder = Unpadder::default();
            let mut came = Vec::new();
            for piece in padded.chunks(size) {
                came.extend_from_slice(unpadder.strip(&mut piece.to_vec()));
            }
            assert_eq!(came, bare, "{size}");
        }
    }
}
