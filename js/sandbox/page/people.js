/** Who visits. The first is the one of the demo's story. */

/** @typedef {{ number: number, clientId: string, vcxConversationId: string, name: string, email: string }} Person */

/** @type {Person} */
export const MINA = {
  number: 0,
  clientId: 'client-42',
  vcxConversationId: 'chat-7',
  name: 'Mina Kim',
  email: 'mina@example.com',
};

/** Somebody who was never here before. @param {Person} last who came before @returns {Person} */
export function stranger(last) {
  const number = last.number + 1;
  const [round, index] = [Math.floor(last.number / NAMES.length), last.number % NAMES.length];
  const mark = crypto.randomUUID().slice(0, 8);
  return {
    number,
    clientId: `client-${mark}`,
    vcxConversationId: `chat-${mark}`,
    name: round ? `${NAMES[index]} ${round + 1}` : NAMES[index],
    email: `${NAMES[index].split(' ')[0].toLowerCase()}.${mark}@example.com`,
  };
}

const NAMES = ['Noor Haddad', 'Jonas Weber', 'Aiko Tanaka', 'Lucia Romero', 'Samuel Okafor', 'Ines Moreau'];
