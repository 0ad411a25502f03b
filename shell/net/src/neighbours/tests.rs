use super::*;

#[test]
fn the_frame_is_that_of_rfc_826() {
    let (hardware, service, party) = ([2, 0, 0, 0, 0, 9], [10, 77, 0, 100].into(), [10, 77, 0, 21].into());
    let expected = [
        255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 0x08, 0x06, // Ethernet
        0, 1, 8, 0, 6, 4, 0, 1, // Ethernet and IPv4, request
        2, 0, 0, 0, 0, 9, 10, 77, 0, 100, // from
        0, 0, 0, 0, 0, 0, 10, 77, 0, 21, // about
    ];
    let frame = frame(OPERATION_REQUEST, hardware, service, [0; 6], party);
    assert_eq!(frame, expected);
    assert_eq!(frame.len(), FRAME_BYTES);
}
