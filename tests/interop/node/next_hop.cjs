// An npm smtp-server; says on one line of JSON what it takes: next_hop.cjs OPTIONS-AS-JSON
'use strict';
const fs = require('fs');
const { SMTPServer } = require('smtp-server');

const { address, port, name, key, cert, hideREQUIRETLS } = JSON.parse(process.argv[2]);

const server = new SMTPServer({
    name,
    key: fs.readFileSync(key),
    cert: fs.readFileSync(cert),
    authOptional: true,
    disableReverseLookup: true,
    hideREQUIRETLS,
    onRcptTo(recipient, session, done) {
        done(recipient.address.startsWith('nobody@') ? new Error('no such mailbox') : null);
    },
    onData(stream, session, done) {
        const parts = [];
        stream.on('data', part => parts.push(part));
        stream.on('end', () => {
            const taken = {
                content: Buffer.concat(parts).toString('base64'),
                tls: session.secure,
                requiretls: session.envelope.requireTLS
            };
            fs.writeSync(1, JSON.stringify(taken) + '\n');
            done();
        });
    }
});
server.on('error', () => {}); // a client that hangs up is no reason to end
server.listen(port, address);
