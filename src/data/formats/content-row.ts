import type { Row, RowSource } from '../row.ts';
import type { Content } from './content.ts';

/** Content as a row that can be rendered and compared: of a pair of answers the chosen one. */
export function contentRow(content: Content, source: RowSource): Row {
  switch (content.kind) {
    case 'chat': {
      const { messages, tools, labels } = content;
      return {
        source,
        kind: 'messages',
        messages,
        ...(tools ? { tools } : {}),
        ...(labels ? { labelled: labels } : {}),
      };
    }
    case 'text':
      return { source, kind: 'text', text: content.text, ...(content.labels ? { labelled: content.labels } : {}) };
    case 'tokens':
      return { source, kind: 'ids', ids: content.ids, labels: content.labels };
    case 'preference':
    case 'unpaired': {
      const { prompt, tools } = content;
      const messages = [...prompt, ...(content.kind === 'preference' ? content.chosen : content.completion)];
      return { source, kind: 'messages', messages, ...(tools ? { tools } : {}) };
    }
    default:
      return content satisfies never;
  }
}
